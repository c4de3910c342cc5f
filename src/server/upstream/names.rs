//! The addresses of a named server, resolved in the background so that no request waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::busy::Busy;
use super::endpoint::Endpoint;
use crate::request::ServerAddress;

/// The addresses of one endpoint.
#[derive(Debug)]
pub(super) struct ResolvedName {
    /// The operator wrote the address itself.
    is_literal: bool,
    /// Sorted, without duplicates. They stay while look-ups fail.
    addresses: Mutex<Vec<ServerAddress>>,
    pub(super) due_ms: AtomicU64,
    /// One look-up at a time: the system's resolver may hang.
    pub(super) is_looked_up: Busy,
    pub(super) has_failed: AtomicBool,
}

impl ResolvedName {
    pub(super) fn from_endpoint(endpoint: &Endpoint) -> Self {
        let literal = endpoint.literal();
        Self {
            is_literal: literal.is_some(),
            addresses: Mutex::new(literal.into_iter().collect()),
            due_ms: AtomicU64::default(),
            is_looked_up: Busy::default(),
            has_failed: AtomicBool::default(),
        }
    }

    pub(super) fn addresses(&self) -> Vec<ServerAddress> {
        self.addresses.lock().clone()
    }

    pub(super) fn inherit(&self, old: &Self) {
        *self.addresses.lock() = old.addresses();
        let has_failed = old.has_failed.load(Ordering::Relaxed);
        self.has_failed.store(has_failed, Ordering::Relaxed);
    }

    /// Whether it is time to look it up.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        let is_waiting = now_ms < self.due_ms.load(Ordering::Relaxed);
        !self.is_literal && !is_waiting && !self.is_looked_up.is_set()
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.addresses.lock().is_empty()
    }

    /// Takes the result of a look-up. Returns whether the addresses changed.
    pub(super) fn learn(&self, mut found: Vec<ServerAddress>) -> bool {
        found.sort_unstable();
        found.dedup();
        let mut addresses = self.addresses.lock();
        let is_news = *addresses != found;
        *addresses = found;
        is_news
    }
}
