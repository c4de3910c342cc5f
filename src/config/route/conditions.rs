//! The conditions of a route.

use http::Method;

use crate::config::reading::TomlTable;
use crate::config::rules::{condition, network, paths};
use crate::request::{Base, RouteConditions};

/// Reads `paths`, `methods`, `query`, `cookies`, `body`, `from` and `not`; the headers are read with what changes them.
pub(super) fn read(table: &mut TomlTable<'_>, base: &Base) -> RouteConditions {
    let mut conditions = read_flat(table, base);
    for mut not in table.table_or_tables("not") {
        let mut without = read_flat(&mut not, base);
        if let Some(mut headers) = not.table("headers") {
            without.values.extend(condition::read_headers(&mut headers));
            headers.finish();
        }
        conditions.not.push(without);
        not.finish();
    }
    conditions
}

fn read_flat(table: &mut TomlTable<'_>, base: &Base) -> RouteConditions {
    let mut values = condition::read_beside_headers(table);
    values.extend(condition::read_cookies(table));
    RouteConditions {
        paths: paths::read(table, base),
        methods: table.string_or_strings_as("methods", method),
        values,
        from: table.string_or_strings_as("from", network::parse),
        not: Vec::new(),
    }
}

/// Methods are written in capitals (RFC 9110 section 9.1).
fn method(text: &str) -> Result<Method, &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    let fits = !text.is_empty() && text.bytes().all(is_fit);
    let method = Method::from_bytes(text.as_bytes()).ok();
    method.filter(|_| fits).ok_or("a method such as POST")
}
