//! The words of an answer of Doorward: its status, and its body or message.

use std::ops::RangeInclusive;

use bytes::Bytes;
use http::StatusCode;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::Words;

/// The default answer to a logout.
const LOGGED_OUT: &str = r#"{"message":"Successfully logged out"}"#;

/// The same to a mutation of GraphQL: null for every field.
const LOGGED_OUT_GRAPHQL: &str = r#"{"data":{}}"#;

/// The answer to a logout that worked.
pub(crate) fn read_success(table: &mut TomlTable<'_>, is_graphql: bool) -> Words {
    let usual = if is_graphql {
        LOGGED_OUT_GRAPHQL
    } else {
        LOGGED_OUT
    };
    let status = read_status(table, 200..=299).unwrap_or(StatusCode::OK);
    let body = read_body(table, "answer_body");
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::RESET_CONTENT;
    if !has_body {
        table.report_at(
            "answer_body",
            Fault::error(format!("an answer {} has no body", status.as_u16())),
        );
    }
    let usual = has_body.then_some(Bytes::from_static(usual.as_bytes()));
    Words {
        status,
        body: body.or(usual),
        message: None,
    }
}

fn read_status(table: &mut TomlTable<'_>, range: RangeInclusive<u16>) -> Option<StatusCode> {
    let status = table.integer("status", range)?;
    StatusCode::from_u16(status).ok()
}

fn read_body(table: &mut TomlTable<'_>, key: &str) -> Option<Bytes> {
    let body = table.string_as(key, json)?;
    Some(Bytes::copy_from_slice(body.as_bytes()))
}

/// A body must be JSON, for it is sent as `application/json`.
fn json(text: &str) -> Result<&str, &'static str> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    is_json.then_some(text).ok_or("JSON")
}

/// Reads the answer of a refusal under this key.
pub(crate) fn read_refusal(table: &mut TomlTable<'_>, key: &str) -> Option<Words> {
    let mut words = table.table(key)?;
    let status = read_status(&mut words, 200..=599);
    words.missing("status", "an integer from 200 to 599");
    let body = read_body(&mut words, "body");
    let message = words.string("message");
    if body.is_some()
        && let Some(message) = &message
    {
        message.report(
            Fault::error("`body` and `message` can't both be given")
                .help("`message` is worded in the format of the shop's refusals"),
        );
    }
    words.finish();
    Some(Words {
        status: status?,
        body,
        message: message.map(|text| text.as_str().to_owned()),
    })
}

/// The answer to Doorward's own logout.
pub(crate) fn logged_out() -> Words {
    Words {
        status: StatusCode::OK,
        body: Some(Bytes::from_static(LOGGED_OUT.as_bytes())),
        message: None,
    }
}

/// The answer to a logout without a credential: the status, in the shape of a refusal.
pub(crate) fn unauthorized() -> Words {
    Words {
        status: StatusCode::UNAUTHORIZED,
        body: None,
        message: None,
    }
}
