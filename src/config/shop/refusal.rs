//! `[shop.refusal]`: how refusals are worded.

use super::claims::is_quotable;
use crate::config::reading::TomlTable;
use crate::request::{RefusalSettings, Shape};

const FORMATS: &[(&str, Shape)] = &[
    ("message", Shape::Message),
    ("wp-error", Shape::WpError),
    ("problem", Shape::Problem),
    ("graphql", Shape::GraphQl),
];

/// The code of a refusal in the format `wp-error`, where neither preset nor operator has one.
const REFUSAL_CODE: &str = "doorward_unauthorized";

/// Reads `[shop.refusal]`; the realm of the challenge is the shop's name, unless it is written.
pub(super) fn read(shop: &mut TomlTable<'_>, name: &str) -> RefusalSettings {
    let mut settings = RefusalSettings {
        shape: Shape::default(),
        realm: name.to_owned(),
        code: REFUSAL_CODE.to_owned(),
        names_request: false,
    };
    let Some(mut table) = shop.table("refusal") else {
        return settings;
    };
    table.renamed("format", "shape");
    settings.shape = table.choice("format", FORMATS).unwrap_or_default();
    if let Some(realm) = table.string_as("realm", quotable) {
        realm.clone_into(&mut settings.realm);
    }
    if let Some(code) = table.string_as("code", code) {
        code.clone_into(&mut settings.code);
    }
    settings.names_request = table.boolean("request_id").unwrap_or_default();
    table.finish();
    settings
}

fn quotable(text: &str) -> Result<&str, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(|byte| byte == b' ' || is_quotable(byte));
    is_fit
        .then_some(text)
        .ok_or("letters, digits, spaces and signs without \" and \\")
}

fn code(text: &str) -> Result<&str, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(is_quotable);
    is_fit
        .then_some(text)
        .ok_or("a code such as rest_forbidden")
}
