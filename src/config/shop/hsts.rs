//! `hsts`: for how long browsers are to use TLS only (RFC 6797).

use std::time::Duration;

use http::HeaderValue;

use crate::config::fault::Fault;
use crate::config::reading::{TextOrTable, TomlTable, duration};

/// The shortest time, with its subdomains, that the list of browsers takes (hstspreload.org).
const PRELOAD_MIN: Duration = Duration::from_hours(24 * 365);

/// Reads `hsts`; `is_encrypted`: some customers can reach the shop over TLS.
pub(super) fn read(shop: &mut TomlTable<'_>, is_encrypted: bool) -> Option<HeaderValue> {
    let value = match shop.string_or_table("hsts")? {
        TextOrTable::Text(text) => header(text.parse(duration::parse)?, false, false),
        TextOrTable::Table(table) => read_table(table)?,
    };
    if !is_encrypted {
        let fault =
            Fault::warning("no answer will have this header: no client reaches the shop over TLS");
        let help = "write https:// before an address of `listen`, or name the proxy with TLS in trusted_proxies";
        shop.report_at("hsts", fault.help(help));
    }
    HeaderValue::try_from(value).ok()
}

fn read_table(mut table: TomlTable<'_>) -> Option<String> {
    let max_age = table.duration("max_age");
    table.missing("max_age", "a duration such as \"365d\"");
    let subdomains = table.boolean("include_subdomains").unwrap_or_default();
    let preload = table.boolean("preload").unwrap_or_default();
    let is_enough = max_age.is_none_or(|max_age| max_age >= PRELOAD_MIN);
    if preload && !(subdomains && is_enough) {
        let fault = Fault::warning("the list of browsers does not take this");
        let help = "it takes include_subdomains = true and a max_age of a year or more";
        table.report_at("preload", fault.help(help));
    }
    table.finish();
    Some(header(max_age?, subdomains, preload))
}

fn header(max_age: Duration, subdomains: bool, preload: bool) -> String {
    let mut text = format!("max-age={}", max_age.as_secs());
    if subdomains {
        text.push_str("; includeSubDomains");
    }
    if preload {
        text.push_str("; preload");
    }
    text
}
