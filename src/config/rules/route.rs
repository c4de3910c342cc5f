//! What paths demand of their visitors.

use crate::config::fault::{Fault, Faults};
use crate::config::reading::Table;
use crate::config::rules::base::Bases;
use crate::config::rules::condition;
use crate::request::{Base, Enforce, PathPattern, PathStyle, Route};

const ENFORCE: &[(&str, Enforce)] = &[
    ("off", Enforce::Off),
    ("revoked", Enforce::Revoked),
    ("valid", Enforce::Valid),
    ("required", Enforce::Required),
];

/// Reads every `[[shop.route]]`.
pub(crate) fn read(shop: &mut Table<'_>, bases: &Bases, faults: &mut Faults) -> Vec<Route> {
    let mut routes = Vec::new();
    for table in shop.tables("route", faults) {
        let base = bases.of(&table, shop);
        routes.extend(read_route(table, base, faults));
    }
    routes
}

fn read_route(mut table: Table<'_>, base: &Base, faults: &mut Faults) -> Option<Route> {
    let paths = read_paths(&mut table, base, faults);
    let conditions = condition::read(&mut table, faults);
    let enforce = table.choice("enforce", ENFORCE, faults);
    table.missing("enforce", "off, revoked, valid or required", faults);
    if enforce == Some(Enforce::Off)
        && let Some(spot) = table.spot_of("enforce")
    {
        let fault = Fault::warning("a customer who logged out can still come here").at(&spot);
        faults.push(fault.label("no credential is looked at"));
    }
    table.finish(faults);
    let enforce = enforce?;
    Some(Route {
        paths,
        conditions,
        enforce,
    })
}

/// The required `paths` of a rule, of an application that lives there.
pub(crate) fn read_paths(
    table: &mut Table<'_>,
    base: &Base,
    faults: &mut Faults,
) -> Vec<PathPattern> {
    let texts = table.string_or_strings("paths", faults);
    table.missing("paths", "paths such as [\"/account/*\"]", faults);
    if texts.as_ref().is_some_and(Vec::is_empty)
        && let Some(spot) = table.spot_of("paths")
    {
        faults.push(Fault::error("`paths` names no path").at(&spot));
    }
    let texts = texts.unwrap_or_default();
    let paths = texts.iter();
    paths
        .filter_map(|text| text.parse_as(PathPattern::parse, faults))
        .map(|path| path.below(base))
        .collect()
}

/// Reads `[shop.paths]`.
pub(crate) fn read_style(table: &mut Table<'_>, faults: &mut Faults) -> PathStyle {
    let Some(mut table) = table.table("paths", faults) else {
        return PathStyle::default();
    };
    let ignore_case = table.boolean("ignore_case", faults);
    let exact_slash = table.boolean("exact_slash", faults);
    let get_override = table.boolean("get_override", faults);
    table.finish(faults);
    PathStyle {
        ignore_case: ignore_case.unwrap_or_default(),
        exact_slash: exact_slash.unwrap_or_default(),
        get_override: get_override.unwrap_or_default(),
    }
}
