//! The conditions of a rule: what a request must carry.

use http::HeaderName;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{Condition, ConditionPlace, ConditionValue, PathPattern, Pointer};

/// The value that matches every value.
const ANYTHING: &str = "*";

/// Reads `header`, `query` and `body` of a rule, where they are tables.
pub(crate) fn read(table: &mut TomlTable<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(mut headers) = table.table("header") {
        conditions.extend(read_headers(&mut headers));
        headers.finish();
    }
    conditions.extend(read_beside_headers(table));
    conditions
}

/// Reads `query` and `body` of a rule, where they are tables.
pub(crate) fn read_beside_headers(table: &mut TomlTable<'_>) -> Vec<Condition> {
    let parameter = |name: &str| Ok(ConditionPlace::Parameter(name.to_owned()));
    let place = |name: &str| Pointer::parse(name).map(ConditionPlace::Body);
    let mut conditions = read_table(table, "query", parameter, texts);
    // A string is the former way to write `answer_body` of a logout.
    if !table.has_string("body") {
        conditions.extend(read_table(table, "body", place, scalars));
    }
    conditions
}

/// Reads `cookies`.
pub(crate) fn read_cookies(table: &mut TomlTable<'_>) -> Vec<Condition> {
    let place = |name: &str| Ok(ConditionPlace::Cookie(name.to_owned()));
    read_table(table, "cookies", place, texts)
}

/// Reads the conditions of a table of headers. What is a table there is something else.
pub(crate) fn read_headers(headers: &mut TomlTable<'_>) -> Vec<Condition> {
    let place = |name: &str| {
        let name = HeaderName::try_from(name).map_err(|_| "the name of a header")?;
        Ok(ConditionPlace::Header(name))
    };
    read_each(headers, place, texts)
}

fn read_table<'a>(
    table: &mut TomlTable<'a>,
    key: &str,
    place: impl Fn(&str) -> Result<ConditionPlace, &'static str>,
    values: fn(&mut TomlTable<'a>, &str) -> Vec<ConditionValue>,
) -> Vec<Condition> {
    let Some(mut table) = table.table(key) else {
        return Vec::new();
    };
    let conditions = read_each(&mut table, place, values);
    table.finish();
    conditions
}

fn read_each<'a>(
    table: &mut TomlTable<'a>,
    place: impl Fn(&str) -> Result<ConditionPlace, &'static str>,
    values: fn(&mut TomlTable<'a>, &str) -> Vec<ConditionValue>,
) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for name in table.keys() {
        if table.has_table(name) {
            continue;
        }
        let values = values(table, name);
        match place(name) {
            Ok(at) => conditions.push(Condition { at, values }),
            Err(wanted) => {
                let fault = format!("expected {wanted}, found `{}`", name.escape_debug());
                let spot = table.spot_of(name).unwrap_or_else(|| table.spot());
                table.report(Fault::error(fault).at(&spot));
            }
        }
    }
    conditions
}

fn texts(table: &mut TomlTable<'_>, name: &str) -> Vec<ConditionValue> {
    table.one_or_more_as(name, value_of)
}

/// Forms send numbers as texts, so conditions compare texts.
fn scalars(table: &mut TomlTable<'_>, name: &str) -> Vec<ConditionValue> {
    let scalars = table.scalars(name);
    if scalars.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error(format!("`{name}` names nothing"));
        table.report_at(name, fault.help(format!("leave `{name}` out, or name one")));
    }
    let scalars = scalars.unwrap_or_default();
    let mut values = Vec::new();
    for (scalar, spot) in scalars {
        let text = match scalar.as_str() {
            Some(text) => text.to_owned(),
            None => scalar.to_string(),
        };
        match value_of(&text) {
            Ok(value) => values.push(value),
            Err(wanted) => {
                let fault = Fault::error(format!("expected {wanted}")); // what is written may be secret
                table.report(fault.at(&spot));
            }
        }
    }
    values
}

fn value_of(text: &str) -> Result<ConditionValue, &'static str> {
    match text {
        ANYTHING => Ok(ConditionValue::Anything),
        _ if text.starts_with('/') => PathPattern::parse(text).map(ConditionValue::Path),
        _ => Ok(ConditionValue::Text(text.to_owned())),
    }
}
