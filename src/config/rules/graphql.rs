//! GraphQL: the mutations of a rule, unknown hashes, and bodies that can't be read.

use crate::config::fault::Fault;
use crate::config::reading::{TomlTable, TomlText};
use crate::request::{Call, Carrier, GraphQlCondition, Place, UnknownHash, UnreadBody};

const UNKNOWN_HASHES: &[(&str, UnknownHash)] =
    &[("ask", UnknownHash::Ask), ("forward", UnknownHash::Forward)];

const UNREAD_BODIES: &[(&str, UnreadBody)] = &[
    ("refuse", UnreadBody::Refuse),
    ("forward", UnreadBody::Forward),
];

/// Reads `graphql` and `persisted` of a rule.
pub(crate) fn read_condition(table: &mut TomlTable<'_>) -> Option<GraphQlCondition> {
    let fields = table.string_or_strings("graphql");
    let persisted = table.string_or_strings_as("persisted", stored);
    let Some(fields) = fields else {
        if table.lacks("graphql") {
            table.report_at(
                "persisted",
                Fault::error("`persisted` without `graphql`")
                    .help("name the mutation that the documents execute with `graphql`"),
            );
        }
        return None;
    };
    if fields.is_empty() {
        table.report_at("graphql", Fault::error("`graphql` names no field"));
    }
    let fields = fields.iter();
    let fields = fields.filter_map(|text| text.parse_as(GraphQlCondition::field));
    let fields: Vec<_> = fields.map(str::to_owned).collect();
    Some(GraphQlCondition::new(fields, &persisted))
}

fn stored(text: &str) -> Result<String, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_fit
        .then(|| text.to_owned())
        .ok_or("the SHA-256 of a document in hexadecimal, or its id")
}

/// The carrier of arguments and input fields of this name.
pub(crate) fn carrier(text: &TomlText<'_>) -> Option<Carrier> {
    let name = text.parse_as(argument)?;
    Some(Carrier::GraphQl(name.to_owned()))
}

fn argument(text: &str) -> Result<&str, &'static str> {
    GraphQlCondition::field(text).map_err(|_| "the name of an argument, such as accessToken")
}

/// Reads `[shop.graphql]`.
pub(crate) fn read_unknown_hash(shop: &mut TomlTable<'_>) -> UnknownHash {
    let Some(mut table) = shop.table("graphql") else {
        return UnknownHash::default();
    };
    let unknown = table.choice("unknown_hash", UNKNOWN_HASHES);
    table.finish();
    unknown.unwrap_or_default()
}

/// Reads `unread_body` of `[shop.limits]`, and warns where a dead token could hide in an unread body.
pub(crate) fn read_unread_body(limits: &mut TomlTable<'_>, places: &[Place]) -> UnreadBody {
    let unread = limits.choice("unread_body", UNREAD_BODIES);
    let has_place = places.iter().any(|place| place.carrier.is_in_body());
    if unread == Some(UnreadBody::Forward) && has_place {
        let fault = Fault::warning("a revoked token can hide in a body that is not read");
        let label = "bodies carry credentials of this shop";
        limits.report_at("unread_body", fault.label(label));
    }
    unread.unwrap_or_default()
}

/// Warns if no rule says which paths are GraphQL: text that can't be read as GraphQL is forwarded then.
pub(crate) fn warn_of_unruled<'c>(
    shop: &TomlTable<'_>,
    places: &[Place],
    mut calls: impl Iterator<Item = &'c Call>,
) {
    let is_graphql = |place: &Place| matches!(place.carrier, Carrier::GraphQl(_));
    if places.iter().any(is_graphql) && !calls.any(|call| call.graphql.is_some()) {
        let fault = Fault::warning("no rule with `graphql` says which paths are GraphQL");
        shop.report_here(fault.help("list the paths in a [[shop.logout]] with `graphql`, or a body that can't be read as GraphQL is forwarded"));
    }
}
