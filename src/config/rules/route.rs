//! `[[shop.route]]`: what paths require of a request.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
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
pub(crate) fn read(shop: &mut TomlTable<'_>, bases: &Bases) -> Vec<Route> {
    let mut routes = Vec::new();
    for table in shop.tables("route") {
        let base = bases.for_rule(&table, shop);
        routes.extend(read_route(table, base));
    }
    routes
}

fn read_route(mut table: TomlTable<'_>, base: &Base) -> Option<Route> {
    let paths = read_paths(&mut table, base);
    let conditions = condition::read(&mut table);
    let enforce = table.choice("enforce", ENFORCE);
    table.missing("enforce", "off, revoked, valid or required");
    if enforce == Some(Enforce::Off) {
        table.report_at(
            "enforce",
            Fault::warning("a customer who logged out still has access here")
                .label("no credential is examined"),
        );
    }
    table.finish();
    let enforce = enforce?;
    Some(Route {
        paths,
        conditions,
        enforce,
    })
}

/// The required `paths` of a rule, below the folders of the application.
pub(crate) fn read_paths(table: &mut TomlTable<'_>, base: &Base) -> Vec<PathPattern> {
    let texts = table.string_or_strings("paths");
    table.missing("paths", "paths such as [\"/account/*\"]");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        table.report_at("paths", Fault::error("`paths` names no path"));
    }
    let texts = texts.unwrap_or_default();
    let paths = texts.iter();
    paths
        .filter_map(|text| text.parse_as(PathPattern::parse))
        .map(|path| path.below(base))
        .collect()
}

/// Reads `[shop.paths]`.
pub(crate) fn read_style(table: &mut TomlTable<'_>) -> PathStyle {
    let Some(mut table) = table.table("paths") else {
        return PathStyle::default();
    };
    let ignore_case = table.boolean("ignore_case");
    let exact_slash = table.boolean("exact_slash");
    let get_override = table.boolean("get_override");
    table.finish();
    PathStyle {
        ignore_case: ignore_case.unwrap_or_default(),
        exact_slash: exact_slash.unwrap_or_default(),
        get_override: get_override.unwrap_or_default(),
    }
}
