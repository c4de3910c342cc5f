//! What a configuration says, key by key: so that a reload can tell what it changed.

use std::collections::BTreeMap;

/// What every key of a configuration says, as a digest: a value may be a secret and is not kept.
#[derive(Clone, Debug, Default)]
pub struct Outline(BTreeMap<String, blake3::Hash>);

impl Outline {
    /// A key says this.
    pub fn note(&mut self, key: String, value: blake3::Hash) {
        self.0.insert(key, value);
    }

    /// The keys that say something else there, are new there, or are gone.
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
