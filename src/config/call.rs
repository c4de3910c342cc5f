//! How a call of the storefront's API is recognised.

use http::Method;

use super::fault::{Fault, Faults};
use super::graphql;
use super::route;
use super::table::Table;
use crate::request::{Call, PathPattern, QueryCondition, QueryValue};

const METHODS: &[(&str, &Method)] = &[
    ("POST", &Method::POST),
    ("GET", &Method::GET),
    ("DELETE", &Method::DELETE),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("HEAD", &Method::HEAD),
];

/// Reads `methods`, `paths`, `query` and `graphql` of a rule; `of_graphql` are the methods of one about GraphQL that names
/// none.
pub(super) fn read(table: &mut Table<'_>, of_graphql: &[Method], faults: &mut Faults) -> Call {
    let graphql = graphql::read_condition(table, faults);
    let usual = match graphql {
        Some(_) => of_graphql,
        None => &[Method::POST],
    };
    Call {
        methods: read_methods(table, usual, faults),
        paths: route::read_paths(table, faults),
        query: read_query(table, faults),
        graphql,
    }
}

fn read_methods(table: &mut Table<'_>, usual: &[Method], faults: &mut Faults) -> Vec<Method> {
    let Some(texts) = table.strings("methods", faults) else {
        return usual.to_vec();
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
