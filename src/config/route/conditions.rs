//! The conditions of a route.

use http::Method;

use crate::config::reading::TomlTable;
use crate::config::rules::{condition, network, paths};
use crate::request::{Base, CertificateCondition, RouteConditions};

/// Reads `paths`, `methods`, `query`, `cookies`, `body`, `from`, `client_certificate` and `not`; the headers are read with what
/// changes them.
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
        methods: table.one_or_more_as("methods", method),
        values,
        from: network::read_one_or_more(table, "from"),
        certificate: read_certificate(table),
        not: Vec::new(),
    }
}

/// `true`, `false`, or names of clients.
fn read_certificate(table: &mut TomlTable<'_>) -> Option<CertificateCondition> {
    const KEY: &str = "client_certificate";
    if table.has_boolean(KEY) {
        return table.boolean(KEY).map(CertificateCondition::Shown);
    }
    let names = table.one_or_more_as(KEY, certificate_name);
    (!table.lacks(KEY)).then_some(CertificateCondition::Named(names))
}

fn certificate_name(text: &str) -> Result<String, &'static str> {
    let is_alternative = ["DNS:", "email:", "URI:"]
        .iter()
        .any(|kind| text.starts_with(kind));
    (is_alternative || text.contains('='))
        .then(|| text.to_owned())
        .ok_or("a subject such as CN=Alice,O=Example, or a name such as DNS:, email: or URI: and its text")
}

/// Methods are written in capitals (RFC 9110 section 9.1).
fn method(text: &str) -> Result<Method, &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    let fits = !text.is_empty() && text.bytes().all(is_fit);
    let method = Method::from_bytes(text.as_bytes()).ok();
    method.filter(|_| fits).ok_or("a method such as POST")
}
