//! `[shop.token.introspection]`: the shop says whether an opaque token is active, and whose it is (RFC 7662).

use std::time::Duration;

use http::Method;
use http::uri::PathAndQuery;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::agreement;
use crate::request::{ContentType, IntrospectionRequest, Pointer};

/// The values of the former key `verify`: whether the shop is asked.
const VERIFY: &[(&str, bool)] = &[("keys", false), ("shop", true)];

const METHODS: &[(&str, &Method)] = &[("GET", &Method::GET), ("POST", &Method::POST)];

const CONTENT_TYPES: &[(&str, ContentType)] = &[
    (ContentType::Json.name(), ContentType::Json),
    (ContentType::Form.name(), ContentType::Form),
];

/// How long an answer is cached: by default, and at most.
const FRESH: Duration = Duration::from_mins(1);
const FRESH_MAX: Duration = Duration::from_hours(1);

/// Reads `[shop.token.introspection]`. A preset may describe the request and leave it to the operator whether it is sent.
pub(crate) fn read(token: &mut TomlTable<'_>) -> Option<IntrospectionRequest> {
    token.renamed("introspection", "ask");
    let verify = read_verify(token);
    // The former table alone did not say that the shop is asked.
    let usual = !token.is_by_former_name("introspection");
    let Some(mut table) = token.table("introspection") else {
        if verify == Some(true) && token.lacks("introspection") {
            let fault = Fault::error("no table says what the shop is asked");
            let help = "describe it under [shop.token.introspection]";
            token.report_at("verify", fault.help(help));
        }
        return None;
    };
    let enabled = table.boolean("enabled");
    if !usual && verify.is_none() && enabled.is_none() {
        let fault = Fault::warning("under the former name `ask` this table does not ask the shop");
        let help =
            "write introspection with enabled = false, or with enabled = true to ask the shop";
        table.report_here(fault.help(help));
    }
    let is_enabled = enabled.filter(|_| verify.is_none());
    let is_enabled = is_enabled.or(verify).unwrap_or(usual);
    let introspection = read_request(table);
    introspection.filter(|_| is_enabled)
}

/// Reads the former key `verify`, which the table replaces.
fn read_verify(token: &mut TomlTable<'_>) -> Option<bool> {
    let verify = token.former_choice("verify", VERIFY)?;
    let fault = if token.has_together("verify", "introspection") {
        Fault::error(
            "`verify` is the former name of `introspection.enabled`: only one of them may be given",
        )
    } else {
        Fault::warning("`verify` is now called `introspection.enabled`")
    };
    let help = format!(
        "write introspection.enabled = {verify} instead: the next release does not read the former name"
    );
    token.report_at("verify", fault.help(help));
    Some(verify)
}

fn read_request(mut table: TomlTable<'_>) -> Option<IntrospectionRequest> {
    table.renamed("active", "good");
    table.renamed("cache_ttl", "cache");
    let method = table.choice("method", METHODS);
    let path = table.required_string_as("path", "a path such as /api/customer", path_and_query);
    let body = table.string("body");
    let content_type = table.choice("content_type", CONTENT_TYPES);
    let good = agreement::read(&mut table, "active");
    let expected = "where the answer names the customer, such as /id";
    let subject = table.required_string_as("subject", expected, Pointer::parse);
    let issued_at = table.string_as("issued_at", Pointer::parse);
    let fresh = read_fresh(&mut table);
    table.finish();
    Some(IntrospectionRequest {
        method: method.cloned().unwrap_or(Method::GET),
        path: path?,
        body: body.map(|text| text.as_str().into()),
        content_type: content_type.unwrap_or_default(),
        good: good.unwrap_or_default(),
        subject: subject?,
        issued_at,
        fresh,
    })
}

fn path_and_query(text: &str) -> Result<PathAndQuery, &'static str> {
    let path = text.parse().ok();
    path.filter(|_| text.starts_with('/'))
        .ok_or("a path such as /api/customer")
}

fn read_fresh(table: &mut TomlTable<'_>) -> Duration {
    let fresh = table.duration_within("cache_ttl", Duration::ZERO..=FRESH_MAX, "at most 1h");
    fresh.unwrap_or(FRESH)
}
