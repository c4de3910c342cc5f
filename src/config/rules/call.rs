//! How a call of the storefront's API is recognised.

use http::Method;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::condition;
use crate::config::rules::graphql;
use crate::config::rules::paths;
use crate::request::{Base, Call};

const METHODS: &[(&str, &Method)] = &[
    ("POST", &Method::POST),
    ("GET", &Method::GET),
    ("DELETE", &Method::DELETE),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("HEAD", &Method::HEAD),
];

/// Reads `methods`, `paths`, `graphql`, and the conditions of a rule; `of_graphql` are the default methods of a GraphQL rule.
pub(crate) fn read(table: &mut TomlTable<'_>, base: &Base, of_graphql: &[Method]) -> Call {
    let graphql = graphql::read_condition(table);
    let usual = match graphql {
        Some(_) => of_graphql,
        None => &[Method::POST],
    };
    Call {
        methods: read_methods(table, usual),
        paths: paths::read_required(table, base),
        conditions: condition::read(table),
        graphql,
    }
}

fn read_methods(table: &mut TomlTable<'_>, usual: &[Method]) -> Vec<Method> {
    let Some(texts) = table.strings("methods") else {
        return usual.to_vec();
    };
    if texts.is_empty() {
        table.report_at("methods", Fault::error("`methods` names no method"));
    }
    let methods = texts.iter();
    methods
        .filter_map(|text| text.choose("methods", METHODS))
        .cloned()
        .collect()
}
