//! `clear_cookies`: the cookies that an answer deletes.

use std::sync::Arc;

use crate::config::fault::Fault;
use crate::config::reading::{TomlTable, TomlText};
use crate::request::{CookieDeletion, LogoutRule, NamePattern, Place};

/// Reads `hash_from` and `clear_cookies` of a logout.
pub(crate) fn read(table: &mut TomlTable<'_>) -> Vec<CookieDeletion> {
    let texts = table.strings("hash_from").unwrap_or_default();
    let hash_from = texts.iter();
    let hash_from: Vec<_> = hash_from
        .filter_map(|text| text.parse_as(starred_name))
        .collect();
    let has_hash = table.spot_of("hash_from").is_some();
    let tables = table.tables("clear_cookies").into_iter();
    tables
        .filter_map(|table| read_cookie(table, &hash_from, has_hash))
        .collect()
}

fn starred_name(text: &str) -> Result<NamePattern, &'static str> {
    let pattern = NamePattern::parse(text)?;
    match pattern.exact() {
        None => Ok(pattern),
        Some(_) => Err("a cookie's name with one * in it"),
    }
}

fn read_cookie(
    mut table: TomlTable<'_>,
    hash_from: &[NamePattern],
    has_hash: bool,
) -> Option<CookieDeletion> {
    let name = table.required_string("name", "a cookie's name, perhaps with * or {hash} in it");
    let paths = table.strings("paths");
    let domain = table.string("domain");
    let cross_site = table.boolean("cross_site");
    let partitioned = table.boolean("partitioned");
    table.finish();
    let paths = match paths {
        None => vec!["/".to_owned()],
        Some(texts) => cookie_paths(&texts),
    };
    let domain = domain.and_then(|text| text.parse_as(cookie_domain));
    let text = name?;
    let name = text.parse_as(cookie_name)?;
    if name.contains("{hash}") && !has_hash {
        text.report(
            Fault::error("no key says where {hash} comes from")
                .help("list the cookies that have it in `hash_from`"),
        );
    }
    let is_bound = name.to_ascii_lowercase().starts_with("__host-");
    if is_bound && (domain.is_some() || paths != ["/"]) {
        text.report(
            Fault::warning("this cookie has the path / and no domain")
                .label("browsers accept no other whose name begins with __Host-"),
        );
    }
    Some(CookieDeletion {
        name: name.to_owned(),
        hash_from: hash_from.to_vec(),
        paths,
        domain,
        cross_site: cross_site.unwrap_or_default(),
        partitioned: partitioned.unwrap_or_default(),
    })
}

fn cookie_name(text: &str) -> Result<&str, &'static str> {
    NamePattern::parse(text).map(|_| text)
}

fn cookie_paths(texts: &[TomlText<'_>]) -> Vec<String> {
    let paths = texts.iter();
    paths
        .filter_map(|text| text.parse_as(cookie_path))
        .collect()
}

fn cookie_path(text: &str) -> Result<String, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_fit = text.starts_with('/') && is_plain && !text.contains(';');
    is_fit
        .then(|| text.to_owned())
        .ok_or("the path of a cookie, such as /")
}

fn cookie_domain(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_fit = !text.is_empty() && text.bytes().all(is_plain);
    is_fit
        .then(|| text.to_owned())
        .ok_or("the domain of a cookie, such as example.com")
}

/// The cookies that are credentials, those that the logouts of the shop delete, and those in `[[shop]]`; each once.
pub(crate) fn of_shop(
    places: &[Place],
    rules: &[Arc<LogoutRule>],
    of_shop: &[CookieDeletion],
) -> Vec<CookieDeletion> {
    let names = places.iter().flat_map(|place| place.carrier.cookies());
    let of_places = names.filter_map(NamePattern::exact).map(everywhere);
    let of_rules = rules.iter().flat_map(|rule| &rule.clear_cookies);
    let mut cookies: Vec<CookieDeletion> = Vec::new();
    for cookie in of_places.chain(of_rules.chain(of_shop).cloned()) {
        if !cookies.contains(&cookie) {
            cookies.push(cookie);
        }
    }
    cookies
}

fn everywhere(name: &str) -> CookieDeletion {
    CookieDeletion {
        name: name.to_owned(),
        hash_from: Vec::new(),
        paths: vec!["/".to_owned()],
        domain: None,
        cross_site: false,
        partitioned: false,
    }
}
