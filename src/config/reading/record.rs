//! What was read of a configuration, key by key: for the schema, and for the configuration that is in force.

use crate::config::fault::SourceSpot;

/// What a key may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyShape {
    /// A string.
    Text,
    /// An array of strings.
    Texts,
    /// A string or an array of strings.
    TextOrTexts,
    /// `true` or `false`.
    Boolean,
    /// A string, a boolean or a whole number.
    Scalar,
    /// One of those, or an array of them.
    Scalars,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// A duration such as `90s`.
    Duration,
    /// One of these strings.
    Choice(Vec<String>),
    /// A table.
    Table,
    /// A string or a table.
    TextOrTable,
    /// An array of strings and tables.
    TextsOrTables,
    /// The same, or a string.
    TextOrTextsOrTables,
    /// A table or an array of tables.
    TableOrTables,
    /// An array of tables.
    Tables,
    /// Anything, under any name: the table holds names of the operator.
    Named,
}

/// A key that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct ReadKey {
    /// The table: `shop[0].token`; empty for the keys at the top.
    pub(crate) table: String,
    /// Its name.
    pub(crate) key: String,
    /// What it may hold.
    pub(crate) shape: KeyShape,
    /// Whether it was only looked at, to choose how to read it.
    pub(crate) is_hint: bool,
    /// What is written; `None`: it is left out.
    pub(crate) written: Option<WrittenKey>,
}

/// What is written under a key, and where.
#[derive(Clone, Debug)]
pub(crate) struct WrittenKey {
    pub(crate) value: toml::Value,
    pub(crate) spot: SourceSpot,
}
