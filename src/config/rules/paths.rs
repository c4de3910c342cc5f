//! The paths of a rule, and how a shop compares paths.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{Base, PathPattern, PathStyle};

/// The required `paths` of a rule, below the folders of the application.
pub(crate) fn read_required(table: &mut TomlTable<'_>, base: &Base) -> Vec<PathPattern> {
    table.missing("paths", "paths such as [\"/account/*\"]");
    read(table, base)
}

/// `paths`, below the folders of the application; none where the key is left out.
pub(crate) fn read(table: &mut TomlTable<'_>, base: &Base) -> Vec<PathPattern> {
    let texts = table.string_or_strings("paths");
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

/// Reads `[shop.path_style]`.
pub(crate) fn read_style(table: &mut TomlTable<'_>) -> PathStyle {
    table.renamed_table("path_style", "paths");
    let Some(mut table) = table.table("path_style") else {
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
