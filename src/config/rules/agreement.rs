//! Which answers of a shop count as agreement.

use std::ops::RangeInclusive;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{Agreement, Pointer, Wanted};

/// Reads `{ status = ["2xx"], json = { "/success" = true } }` under this key.
pub(crate) fn read(table: &mut TomlTable<'_>, key: &str) -> Option<Agreement> {
    let mut table = table.table(key)?;
    let mut agreement = Agreement::default();
    if let Some(statuses) = read_statuses(&mut table) {
        agreement.statuses = statuses;
    }
    if let Some(mut json) = table.table("json") {
        agreement.json = read_json(&mut json);
        json.finish();
    }
    table.finish();
    Some(agreement)
}

/// Reads `status`, one or several.
pub(crate) fn read_statuses(table: &mut TomlTable<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let texts = table.string_or_strings("status")?;
    if texts.is_empty() {
        table.report_at("status", Fault::error("`status` names no status"));
    }
    let texts = texts.iter();
    let statuses = texts.filter_map(|text| text.parse_as(statuses));
    Some(statuses.collect())
}

/// `204`, or `2xx` for all of its kind.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    const WANTED: &str = "a status such as 204, or 2xx for every one of its kind";
    let (first, last) = match text.strip_suffix("xx") {
        Some(kind) => (format!("{kind}00"), format!("{kind}99")),
        None => (text.to_owned(), text.to_owned()),
    };
    let status = |text: &str| {
        let number = text.parse::<u16>().ok()?;
        (text.len() == 3 && (100..600).contains(&number)).then_some(number)
    };
    match (status(&first), status(&last)) {
        (Some(first), Some(last)) => Ok(first..=last),
        (None | Some(_), _) => Err(WANTED),
    }
}

/// Reads a table whose keys are places and whose values must stand there.
fn read_json(table: &mut TomlTable<'_>) -> Vec<(Pointer, Wanted)> {
    let mut wanted = Vec::new();
    for key in table.keys() {
        let value = table.scalar(key);
        let pointer = Pointer::parse(key);
        if let Err(expected) = &pointer {
            let fault = Fault::error(format!("`{key}` names no place"));
            table.report_at(key, fault.help(format!("write {expected}")));
        }
        let (Ok(pointer), Some(value)) = (pointer, value) else {
            continue;
        };
        let value = match value.as_str() {
            Some("*") => Wanted::Anything,
            Some(_) | None => Wanted::Value(value),
        };
        wanted.push((pointer, value));
    }
    wanted
}
