//! Opaque tokens that a shop may know.

use moka::sync::Cache;

use crate::revocation::Id;

/// The last tokens that a shop answered with success on this node, or about which its answer was unclear. A public page is a
/// success for an invented token, too, so this is a hint only.
pub struct LikelyTokens(Cache<Id, ()>);

/// How many tokens are remembered.
const TOKENS_MAX: u64 = 100_000;

impl Default for LikelyTokens {
    fn default() -> Self {
        Self(Cache::new(TOKENS_MAX))
    }
}

impl LikelyTokens {
    /// Notes a token that the shop may know.
    pub fn note(&self, token: Id) {
        if !self.0.contains_key(&token) {
            self.0.insert(token, ());
        }
    }

    /// Whether the shop may know this token.
    pub fn holds(&self, token: &Id) -> bool {
        self.0.contains_key(token)
    }
}
