//! How customers of a shop log out, and in which words they are answered.

use std::ops::RangeInclusive;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::fault::{Fault, Faults};
use super::table::{Table, Text};
use super::{credential, pattern, shop};
use crate::request::{
    AnswerBy, Carrier, ClientKey, CookieDeletion, LogoutRule, NamePattern, PathPattern, Place,
    QueryCondition, QueryValue, Scope, Words,
};

const METHODS: &[(&str, &Method)] = &[
    ("POST", &Method::POST),
    ("GET", &Method::GET),
    ("DELETE", &Method::DELETE),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("HEAD", &Method::HEAD),
];

const SCOPES: &[(&str, Scope)] = &[
    ("token", Scope::Token),
    ("session", Scope::Session),
    ("subject", Scope::Subject),
];

const ANSWERS: &[(&str, Party)] = &[("forward", Party::Shop), ("local", Party::Doorward)];

const CARTS: &[(&str, Cart)] = &[("keep", Cart::Keep), ("clear", Cart::Clear)];

/// The answer to a logout, unless the operator says otherwise.
const LOGGED_OUT: &str = r#"{"message":"Successfully logged out"}"#;

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Party {
    Shop,
    Doorward,
}

/// What becomes of the customer's cart, where the shop clears it if it learns who logs out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cart {
    Keep,
    Clear,
}

/// The logouts of a shop.
pub(super) struct Logouts {
    /// In the order they are tried.
    pub(super) rules: Vec<LogoutRule>,
    /// What Doorward's own logout revokes.
    own_scope: Scope,
}

/// What stands on the shop itself. It overrides the preset's rules, and the operator's own where they do not
/// say otherwise.
struct Overrides {
    answer: Option<Party>,
    revoke: Option<Scope>,
    cart: Option<Cart>,
    client_key: Option<ClientKey>,
}

/// Reads `answer`, `revoke`, `cart`, `[shop.client_key]` and every `[[shop.logout]]`.
pub(super) fn read(shop: &mut Table<'_>, faults: &mut Faults) -> Logouts {
    let overrides = Overrides {
        answer: shop.choice("answer", ANSWERS, faults),
        revoke: shop.choice("revoke", SCOPES, faults),
        cart: shop.choice("cart", CARTS, faults),
        client_key: read_client_key(shop, faults),
    };
    let mut rules = Vec::new();
    let mut preset_scope = None;
    let mut cart_rules = Vec::new();
    for table in shop.tables("logout", faults) {
        let is_own = table.is_written_with(shop);
        let decides_cart = !is_own && table.spot_of("forward_credentials").is_some();
        let rule = read_rule(table, is_own, &overrides, faults);
        if !is_own {
            preset_scope = preset_scope.or(Some(rule.revoke));
        }
        if decides_cart {
            cart_rules.push(rule.answer);
        }
        rules.push(rule);
    }
    warn_of_cart(shop, overrides.cart, &cart_rules, faults);
    Logouts {
        rules,
        own_scope: overrides.revoke.or(preset_scope).unwrap_or(Scope::Token),
    }
}

/// `cart` works by what the shop is told of the customer, so it must be told something.
fn warn_of_cart(shop: &Table<'_>, cart: Option<Cart>, answers: &[AnswerBy], faults: &mut Faults) {
    let (Some(cart), Some(spot)) = (cart, shop.spot_of("cart")) else {
        return;
    };
    if answers.is_empty() {
        let fault = Fault::warning("`cart` changes nothing").at(&spot);
        faults.push(fault.label("no logout of the preset depends on it"));
    } else if cart == Cart::Clear && answers.contains(&AnswerBy::Doorward) {
        let fault = Fault::warning("the cart stays: the shop never hears of the logout").at(&spot);
        faults.push(fault.help("say answer = \"forward\" to have it cleared"));
    }
}

fn read_rule(
    mut table: Table<'_>,
    is_own: bool,
    overrides: &Overrides,
    faults: &mut Faults,
) -> LogoutRule {
    let methods = read_methods(&mut table, faults);
    let paths = shop::read_paths(&mut table, faults);
    let query = read_query(&mut table, faults);
    let revoke = table.choice("revoke", SCOPES, faults);
    let answer = read_answer(&mut table, is_own, overrides, faults);
    let success = read_success(&mut table, faults);
    let (missing, invalid) = read_errors(&mut table, faults);
    let client_key = choose_client_key(&mut table, overrides, faults);
    let clear_cookies = read_cookies(&mut table, faults);
    table.finish(faults);
    let revoke = preferred(is_own, revoke, overrides.revoke);
    LogoutRule {
        methods,
        paths,
        query,
        revoke: revoke.unwrap_or(Scope::Token),
        answer,
        success,
        missing,
        invalid,
        client_key,
        clear_cookies,
        same_origin: false,
    }
}

fn preferred<T>(is_own: bool, written: Option<T>, shop: Option<T>) -> Option<T> {
    if is_own {
        written.or(shop)
    } else {
        shop.or(written)
    }
}

fn read_methods(table: &mut Table<'_>, faults: &mut Faults) -> Vec<Method> {
    let Some(texts) = table.strings("methods", faults) else {
        return vec![Method::POST];
    };
    if texts.is_empty()
        && let Some(spot) = table.spot_of("methods")
    {
        faults.push(Fault::error("`methods` names no method").at(&spot));
    }
    let methods = texts.iter();
    methods
        .filter_map(|text| text.choose("methods", METHODS, faults))
        .cloned()
        .collect()
}

fn read_query(table: &mut Table<'_>, faults: &mut Faults) -> Vec<QueryCondition> {
    let Some(mut table) = table.table("query", faults) else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    for name in table.keys() {
        let texts = table.string_or_strings(name, faults).unwrap_or_default();
        let values = texts.iter();
        let values = values.filter_map(|text| text.parse_as(query_value, faults));
        conditions.push(QueryCondition {
            name: name.to_owned(),
            values: values.collect(),
        });
    }
    table.finish(faults);
    conditions
}

fn query_value(text: &str) -> Result<QueryValue, &'static str> {
    if text.starts_with('/') {
        PathPattern::parse(text).map(QueryValue::Path)
    } else {
        Ok(QueryValue::Text(text.to_owned()))
    }
}

fn read_answer(
    table: &mut Table<'_>,
    is_own: bool,
    overrides: &Overrides,
    faults: &mut Faults,
) -> AnswerBy {
    let party = table.choice("answer", ANSWERS, faults);
    let with_credentials = table.boolean("forward_credentials", faults);
    let with_credentials = match overrides.cart {
        Some(cart) if with_credentials.is_some() && !is_own => cart == Cart::Clear,
        Some(_) | None => with_credentials.unwrap_or(true),
    };
    match preferred(is_own, party, overrides.answer) {
        Some(Party::Doorward) => AnswerBy::Doorward,
        Some(Party::Shop) | None => AnswerBy::Shop { with_credentials },
    }
}

/// The answer to a logout that worked.
fn read_success(table: &mut Table<'_>, faults: &mut Faults) -> Words {
    let status = read_status(table, 200..=299, faults).unwrap_or(StatusCode::OK);
    let body = read_body(table, faults);
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::RESET_CONTENT;
    if !has_body && let Some(spot) = table.spot_of("body") {
        faults.push(Fault::error(format!("an answer {} has no body", status.as_u16())).at(&spot));
    }
    let usual = has_body.then_some(Bytes::from_static(LOGGED_OUT.as_bytes()));
    Words {
        status,
        body: body.or(usual),
        message: None,
    }
}

fn read_status(
    table: &mut Table<'_>,
    range: RangeInclusive<u16>,
    faults: &mut Faults,
) -> Option<StatusCode> {
    let status = table.integer("status", range, faults)?;
    StatusCode::from_u16(status).ok()
}

fn read_body(table: &mut Table<'_>, faults: &mut Faults) -> Option<Bytes> {
    let text = table.string("body", faults)?;
    let body = text.parse_as(json, faults)?;
    Some(Bytes::copy_from_slice(body.as_bytes()))
}

/// Answers of ours are `application/json`, so that is what they must be.
fn json(text: &str) -> Result<&str, &'static str> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    is_json.then_some(text).ok_or("JSON")
}

/// The words for who brings no credential, and for who brings a bad one.
fn read_errors(table: &mut Table<'_>, faults: &mut Faults) -> (Option<Words>, Option<Words>) {
    let Some(mut errors) = table.table("errors", faults) else {
        return (None, None);
    };
    let missing = read_words(&mut errors, "missing", faults);
    let invalid = read_words(&mut errors, "invalid", faults);
    errors.finish(faults);
    (missing, invalid)
}

fn read_words(table: &mut Table<'_>, key: &str, faults: &mut Faults) -> Option<Words> {
    let mut words = table.table(key, faults)?;
    let status = read_status(&mut words, 200..=599, faults);
    words.missing("status", "an integer from 200 to 599", faults);
    let body = read_body(&mut words, faults);
    let message = words.string("message", faults);
    if body.is_some()
        && let Some(message) = &message
    {
        let fault = Fault::error("`body` and `message` can't both be given").at(message.spot());
        faults.push(fault.help("`message` is worded in the shape of the shop's refusals"));
    }
    words.finish(faults);
    Some(Words {
        status: status?,
        body,
        message: message.map(|text| text.as_str().to_owned()),
    })
}

/// Reads `[shop.client_key]`.
fn read_client_key(shop: &mut Table<'_>, faults: &mut Faults) -> Option<ClientKey> {
    let mut table = shop.table("client_key", faults)?;
    let header = table.string("header", faults);
    table.missing("header", "the name of a header, such as x-api-key", faults);
    let header = header.and_then(|text| text.parse_as(credential::header_name, faults));
    let pattern = table.string("pattern", faults);
    table.missing("pattern", "a regular expression for the whole key", faults);
    let pattern = pattern.and_then(|text| text.parse(pattern::parse, faults));
    let missing = read_words(&mut table, "missing", faults);
    table.missing("missing", "the answer to who brings no key", faults);
    let invalid = read_words(&mut table, "invalid", faults);
    table.missing("invalid", "the answer to who brings another", faults);
    table.finish(faults);
    Some(ClientKey {
        header: header?,
        pattern: pattern?,
        missing: missing?,
        invalid: invalid?,
    })
}

/// A logout demands the shop's client key, unless it says that it does not.
fn choose_client_key(
    table: &mut Table<'_>,
    overrides: &Overrides,
    faults: &mut Faults,
) -> Option<ClientKey> {
    let demanded = table.boolean("client_key", faults);
    if demanded == Some(true)
        && overrides.client_key.is_none()
        && let Some(spot) = table.spot_of("client_key")
    {
        let fault = Fault::error("the shop has no client key").at(&spot);
        faults.push(fault.help("describe it under [shop.client_key]"));
    }
    let client_key = overrides.client_key.clone();
    client_key.filter(|_| demanded != Some(false))
}

fn read_cookies(table: &mut Table<'_>, faults: &mut Faults) -> Vec<CookieDeletion> {
    let texts = table.strings("hash_from", faults).unwrap_or_default();
    let hash_from = texts.iter();
    let hash_from: Vec<_> = hash_from
        .filter_map(|text| text.parse_as(starred_name, faults))
        .collect();
    let has_hash = table.spot_of("hash_from").is_some();
    let tables = table.tables("clear_cookies", faults).into_iter();
    tables
        .filter_map(|table| read_cookie(table, &hash_from, has_hash, faults))
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
    mut table: Table<'_>,
    hash_from: &[NamePattern],
    has_hash: bool,
    faults: &mut Faults,
) -> Option<CookieDeletion> {
    let name = table.string("name", faults);
    table.missing(
        "name",
        "a cookie's name, perhaps with * or {hash} in it",
        faults,
    );
    let paths = table.strings("paths", faults);
    let domain = table.string("domain", faults);
    table.finish(faults);
    let paths = match paths {
        None => vec!["/".to_owned()],
        Some(texts) => cookie_paths(&texts, faults),
    };
    let domain = domain.and_then(|text| text.parse_as(cookie_domain, faults));
    let text = name?;
    let name = text.parse_as(cookie_name, faults)?;
    if name.contains("{hash}") && !has_hash {
        let fault = Fault::error("nothing says where {hash} comes from").at(text.spot());
        faults.push(fault.help("name cookies that have it with `hash_from`"));
    }
    Some(CookieDeletion {
        name: name.to_owned(),
        hash_from: hash_from.to_vec(),
        paths,
        domain,
    })
}

fn cookie_name(text: &str) -> Result<&str, &'static str> {
    NamePattern::parse(text).map(|_| text)
}

fn cookie_paths(texts: &[Text<'_>], faults: &mut Faults) -> Vec<String> {
    let paths = texts.iter();
    paths
        .filter_map(|text| text.parse_as(cookie_path, faults))
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

impl Logouts {
    /// Doorward's own logout, for shops that have none or whose clients do not call it.
    ///
    /// It deletes the cookies that are credentials, and those that the shop's own logouts delete.
    pub(super) fn own(&self, prefix: &str, places: &[Place]) -> LogoutRule {
        let path = PathPattern::parse(&format!("{prefix}/logout"));
        LogoutRule {
            methods: vec![Method::POST],
            paths: vec![path.expect("the prefix is a path, and so is what is below it")],
            query: Vec::new(),
            revoke: self.own_scope,
            answer: AnswerBy::Doorward,
            success: words(StatusCode::OK, Some(LOGGED_OUT)),
            missing: Some(words(StatusCode::UNAUTHORIZED, None)),
            invalid: None,
            client_key: None,
            clear_cookies: self.cookies(places),
            same_origin: true,
        }
    }

    fn cookies(&self, places: &[Place]) -> Vec<CookieDeletion> {
        let named = places.iter().filter_map(|place| match &place.carrier {
            Carrier::Cookie(pattern) => pattern.exact().map(everywhere),
            Carrier::Schemed { .. }
            | Carrier::Raw(_)
            | Carrier::Query(_)
            | Carrier::Json(_)
            | Carrier::Form(_) => None,
        });
        let ruled = self.rules.iter().flat_map(|rule| &rule.clear_cookies);
        let mut cookies: Vec<CookieDeletion> = Vec::new();
        for cookie in named.chain(ruled.cloned()) {
            if !cookies.iter().any(|known| is_same(known, &cookie)) {
                cookies.push(cookie);
            }
        }
        cookies
    }
}

fn words(status: StatusCode, body: Option<&'static str>) -> Words {
    Words {
        status,
        body: body.map(|body| Bytes::from_static(body.as_bytes())),
        message: None,
    }
}

fn everywhere(name: &str) -> CookieDeletion {
    CookieDeletion {
        name: name.to_owned(),
        hash_from: Vec::new(),
        paths: vec!["/".to_owned()],
        domain: None,
    }
}

fn is_same(one: &CookieDeletion, other: &CookieDeletion) -> bool {
    let CookieDeletion {
        name,
        hash_from,
        paths,
        domain,
    } = one;
    *name == other.name
        && *hash_from == other.hash_from
        && *paths == other.paths
        && *domain == other.domain
}
