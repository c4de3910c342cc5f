//! The last decisions, as the page lists them.

use serde_json::{Value, json};

use crate::server::access_log::field::AccessField;
use crate::server::access_log::line::write_json;
use crate::server::access_log::record::RequestRecord;
use crate::server::operator::decisions::Decisions;

/// How many are listed of what was forwarded, and of everything else.
const LISTED: usize = 50;

/// What is listed of each. The rest is in its explanation.
const FIELDS: [AccessField; 14] = [
    AccessField::Time,
    AccessField::Request,
    AccessField::Method,
    AccessField::Host,
    AccessField::Path,
    AccessField::Status,
    AccessField::Duration,
    AccessField::Shop,
    AccessField::Route,
    AccessField::Verdict,
    AccessField::Reason,
    AccessField::Detail,
    AccessField::Token,
    AccessField::Would,
];

/// The last decisions, the newest first.
pub(super) fn recent(decisions: &Decisions) -> Value {
    let (forwarded, others) = decisions.latest(LISTED);
    let told = |records: Vec<RequestRecord>| records.iter().map(tell).collect::<Vec<_>>();
    json!({ "forwarded": told(forwarded), "others": told(others) })
}

fn tell(record: &RequestRecord) -> Value {
    let mut text = String::new();
    write_json(&mut text, record, &FIELDS);
    serde_json::from_str(&text).unwrap_or_default()
}
