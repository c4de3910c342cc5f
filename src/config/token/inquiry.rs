//! What a shop is asked about tokens that say nothing themselves.

use std::time::Duration;

use http::Method;
use http::uri::PathAndQuery;

use crate::config::fault::Fault;
use crate::config::reading::Table;
use crate::config::rules::agreement;
use crate::request::{ContentType, Inquiry, Pointer};

const VERIFIERS: &[(&str, Verifier)] = &[("keys", Verifier::Keys), ("shop", Verifier::Shop)];

const METHODS: &[(&str, &Method)] = &[("GET", &Method::GET), ("POST", &Method::POST)];

const CONTENT_TYPES: &[(&str, ContentType)] = &[
    (ContentType::Json.name(), ContentType::Json),
    (ContentType::Form.name(), ContentType::Form),
];

/// How long an answer is believed, unless the operator says otherwise; and at the most.
const FRESH: Duration = Duration::from_mins(1);
const FRESH_MAX: Duration = Duration::from_hours(1);

/// Who says whether a token is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verifier {
    /// The keys alone; what they can't verify says nothing.
    Keys,
    /// The shop, of what the keys can't verify.
    Shop,
}

/// Reads `verify` and `[shop.token.ask]`. A preset may describe what is asked, and leave it to the operator whether.
pub(crate) fn read(token: &mut Table<'_>) -> Option<Inquiry> {
    let verifier = token.choice("verify", VERIFIERS);
    let inquiry = token.table("ask").map(|table| read_ask(table));
    if verifier != Some(Verifier::Shop) {
        return None;
    }
    if token.lacks("ask") {
        let fault = Fault::error("nothing says what the shop is asked");
        token.report_at("verify", fault.help("describe it under [shop.token.ask]"));
    }
    inquiry?
}

fn read_ask(mut table: Table<'_>) -> Option<Inquiry> {
    let method = table.choice("method", METHODS);
    let path = table.required_string_as("path", "a path such as /api/customer", path_and_query);
    let body = table.string("body");
    let content_type = table.choice("content_type", CONTENT_TYPES);
    let good = agreement::read(&mut table, "good");
    let subject = table.required_string_as(
        "subject",
        "where the answer names the customer, such as /id",
        Pointer::parse,
    );
    let issued_at = table.string_as("issued_at", Pointer::parse);
    let fresh = read_fresh(&mut table);
    table.finish();
    Some(Inquiry {
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

fn read_fresh(table: &mut Table<'_>) -> Duration {
    let fresh = table.duration_within("cache", Duration::ZERO..=FRESH_MAX, "at most 1h");
    fresh.unwrap_or(FRESH)
}
