//! Single flight: requests with one token share one introspection.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::Mutex;

use crate::revocation::Id;

/// A lock for each token that is being introspected: other requests with it wait for the result.
pub(crate) struct SingleFlight(Cache<Id, Arc<Mutex<()>>>);

/// With more tokens at a time, one may be introspected twice.
const TOKENS_MAX: u64 = 10_000;

impl Default for SingleFlight {
    fn default() -> Self {
        Self(Cache::new(TOKENS_MAX))
    }
}

impl SingleFlight {
    pub(super) fn lock_for(&self, token: Id) -> Arc<Mutex<()>> {
        self.0.get_with(token, Arc::default)
    }

    /// The result is cached: the lock is not needed any more.
    pub(super) fn finish(&self, token: &Id) {
        self.0.invalidate(token);
    }
}
