//! One question at a time about one token: requests that come with it meanwhile wait for the answer.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::Mutex;

use crate::revocation::Id;

/// The tokens that a shop is being asked about: requests that came with the same one wait, and go by what is said.
pub(crate) struct Turns(Cache<Id, Arc<Mutex<()>>>);

/// Beyond that many at a time, a shop may be asked twice.
const TURNS_MAX: u64 = 10_000;

impl Default for Turns {
    fn default() -> Self {
        Self(Cache::new(TURNS_MAX))
    }
}

impl Turns {
    pub(super) fn at(&self, token: Id) -> Arc<Mutex<()>> {
        self.0.get_with(token, Arc::default)
    }

    /// Something was said: who comes now finds it.
    pub(super) fn end(&self, token: &Id) {
        self.0.invalidate(token);
    }
}
