//! Where the keys of a table are written: for what is told of a request, each with the line that decided.

use std::collections::BTreeMap;

/// Where the keys of a table are written, as `doorward.toml:12`.
#[derive(Clone, Debug, Default)]
pub struct SourceLines {
    /// The table itself.
    pub(super) table: String,
    /// Each key; of an array of tables, each table.
    pub(super) keys: BTreeMap<String, Vec<String>>,
}

impl SourceLines {
    /// The table itself.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// A key; `None`: it is not written.
    pub fn key(&self, key: &str) -> Option<&str> {
        self.nth(key, 0)
    }

    /// One of the tables under a key.
    pub fn nth(&self, key: &str, number: usize) -> Option<&str> {
        Some(self.keys.get(key)?.get(number)?.as_str())
    }
}
