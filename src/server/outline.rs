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

    /// Adds a key that several files may have, such as the tables of an array: its digest is that of all of them.
    pub fn insert_beside(&mut self, key: &str, value: blake3::Hash) {
        let joined = self.0.get(key).map(|earlier| {
            let both = [*earlier.as_bytes(), *value.as_bytes()].concat();
            blake3::hash(&both)
        });
        self.0.insert(key.to_owned(), joined.unwrap_or(value));
    }

    /// Whether it has a key, or keys of a table, of this name.
    pub fn has(&self, name: &str) -> bool {
        let mut keys = self.0.keys();
        keys.any(|key| key.split('.').next() == Some(name))
    }

    /// A digest of the whole configuration.
    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in &self.0 {
            hasher.update(&(key.len() as u64).to_le_bytes());
            hasher.update(key.as_bytes());
            hasher.update(value.as_bytes());
        }
        hasher.finalize()
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
