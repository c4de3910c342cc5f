//! Keys in which `true` or `false` may stand in the place of their value.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;

/// A value in the place of which `true` or `false` may stand.
pub(super) enum Switched {
    /// It is left out.
    LeftOut,
    /// `false`.
    Off,
    /// `true`.
    On,
    /// The value itself.
    Written,
}

/// What is written under a key in which `true` or `false` may stand.
pub(super) fn switched(table: &mut TomlTable<'_>, key: &str) -> Switched {
    table.ignore(key);
    if table.lacks(key) {
        Switched::LeftOut
    } else if !table.has_boolean(key) {
        Switched::Written
    } else if table.boolean(key) == Some(true) {
        Switched::On
    } else {
        Switched::Off
    }
}

/// Reports `true` in a key that needs more.
pub(super) fn refuse_true<T>(table: &TomlTable<'_>, key: &str, expected: &str) -> Option<T> {
    let fault = Fault::error(format!("wrong type for `{key}`"));
    table.report_at(
        key,
        fault.label(format!("expected {expected}, found boolean")),
    );
    None
}
