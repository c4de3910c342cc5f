//! GraphQL of a shop: the mutations that a rule is about, and what becomes of what can't be read.

use crate::config::fault::{Fault, Faults, Spot};
use crate::config::reading::{Table, Text};
use crate::request::{Call, Carrier, GraphQlCondition, Place, UnknownHash, UnreadBody};

const UNKNOWN_HASHES: &[(&str, UnknownHash)] =
    &[("ask", UnknownHash::Ask), ("forward", UnknownHash::Forward)];

const UNREAD_BODIES: &[(&str, UnreadBody)] = &[
    ("refuse", UnreadBody::Refuse),
    ("forward", UnreadBody::Forward),
];

/// Reads `graphql` and `persisted` of a rule.
pub(crate) fn read_condition(
    table: &mut Table<'_>,
    faults: &mut Faults,
) -> Option<GraphQlCondition> {
    let fields = table.string_or_strings("graphql", faults);
    let persisted = table.string_or_strings("persisted", faults);
    let Some(fields) = fields else {
        if table.lacks("graphql")
            && let Some(spot) = table.spot_of("persisted")
        {
            let fault = Fault::error("`persisted` without `graphql`").at(&spot);
            faults.push(fault.help("say with `graphql` which mutation the documents execute"));
        }
        return None;
    };
    if fields.is_empty()
        && let Some(spot) = table.spot_of("graphql")
    {
        faults.push(Fault::error("`graphql` names no field").at(&spot));
    }
    let fields = fields.iter();
    let fields = fields.filter_map(|text| text.parse_as(GraphQlCondition::field, faults));
    let fields: Vec<_> = fields.map(str::to_owned).collect();
    let persisted = persisted.unwrap_or_default();
    let persisted = persisted.iter();
    let persisted = persisted.filter_map(|text| text.parse_as(stored, faults));
    let persisted: Vec<_> = persisted.map(str::to_owned).collect();
    Some(GraphQlCondition::new(fields, &persisted))
}

fn stored(text: &str) -> Result<&str, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_fit
        .then_some(text)
        .ok_or("the SHA-256 of a document in hexadecimal, or its id")
}

/// The carrier of arguments and input fields of this name.
pub(crate) fn carrier(text: &Text<'_>, faults: &mut Faults) -> Option<Carrier> {
    let name = text.parse_as(argument, faults)?;
    Some(Carrier::GraphQl(name.to_owned()))
}

fn argument(text: &str) -> Result<&str, &'static str> {
    GraphQlCondition::field(text).map_err(|_| "the name of an argument, such as accessToken")
}

/// Reads `[shop.graphql]`.
pub(crate) fn read_unknown_hash(shop: &mut Table<'_>, faults: &mut Faults) -> UnknownHash {
    let Some(mut table) = shop.table("graphql", faults) else {
        return UnknownHash::default();
    };
    let unknown = table.choice("unknown_hash", UNKNOWN_HASHES, faults);
    table.finish(faults);
    unknown.unwrap_or_default()
}

/// Reads `unread_body` of `[shop.limits]`.
pub(crate) fn read_unread_body(
    limits: &mut Table<'_>,
    faults: &mut Faults,
) -> (UnreadBody, Option<Spot>) {
    let unread = limits.choice("unread_body", UNREAD_BODIES, faults);
    (unread.unwrap_or_default(), limits.spot_of("unread_body"))
}

/// A dead token could hide in a body that nobody reads.
pub(crate) fn warn_of_unread(
    (unread, spot): (UnreadBody, Option<Spot>),
    places: &[Place],
    faults: &mut Faults,
) {
    let has_place = places.iter().any(|place| place.carrier.is_in_body());
    if let (UnreadBody::Forward, Some(spot)) = (unread, spot)
        && has_place
    {
        let fault = Fault::warning("a dead token can hide in a body that is not read").at(&spot);
        faults.push(fault.label("bodies carry credentials of this shop"));
    }
}

/// Text that is no GraphQL to us passes where nothing says that it must be some.
pub(crate) fn warn_of_unruled<'c>(
    shop: &Table<'_>,
    places: &[Place],
    mut calls: impl Iterator<Item = &'c Call>,
    faults: &mut Faults,
) {
    let is_graphql = |place: &Place| matches!(place.carrier, Carrier::GraphQl(_));
    if places.iter().any(is_graphql) && !calls.any(|call| call.graphql.is_some()) {
        let fault = Fault::warning("no rule with `graphql` says where GraphQL is spoken");
        let fault = fault.at(&shop.spot());
        faults.push(fault.help("name its paths in a [[shop.logout]] with `graphql`, or what can't be read as GraphQL passes"));
    }
}
