//! Opaque tokens that a shop may know.

use moka::sync::Cache;

use crate::revocation::Id;

/// The last tokens that a shop answered with success on this node, or of which it did not say whether it knows them. A public
/// page is a success for a made-up token, too: what is known here is a hint, and no promise depends on it.
pub struct LikelyTokens(Cache<Id, ()>);

/// How many are remembered.
const TOKENS_MAX: u64 = 100_000;

impl Default for LikelyTokens {
    fn default() -> Self {
        Self(Cache::new(TOKENS_MAX))
    }
}

impl LikelyTokens {
    /// Notes a token that the shop answered so.
    pub fn note(&self, token: Id) {
        if !self.0.contains_key(&token) {
            self.0.insert(token, ());
        }
    }

    /// Whether the shop lately answered this token so.
    pub fn holds(&self, token: &Id) -> bool {
        self.0.contains_key(token)
    }
}
