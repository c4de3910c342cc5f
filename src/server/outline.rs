//! A digest of each key of a configuration, so that a reload can tell what changed.

use std::collections::BTreeMap;

/// A digest of the value of every key. The value may be a secret and is not kept.
#[derive(Clone, Debug, Default)]
pub struct Outline(BTreeMap<String, blake3::Hash>);

impl Outline {
    /// Adds a key.
    pub fn insert(&mut self, key: String, value: blake3::Hash) {
        self.0.insert(key, value);
    }

    /// The keys whose value differs there, that are new there, or that are missing there.
    pub(crate) fn changed_in(&self, there: &Self) -> Vec<String> {
        let keys = self.0.keys().chain(there.0.keys());
        let mut changed: Vec<_> = keys
            .filter(|key| self.0.get(*key) != there.0.get(*key))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}
