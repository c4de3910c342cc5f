//! Pauses: before a node is dialed again, and between two warnings about one thing.

use std::hash::Hash;
use std::time::Duration;

use crate::log_limit::LogLimit;

/// The pause before a node is dialed again: at least, and how much longer at most.
const AGAIN_MIN_MS: u64 = 50;
const AGAIN_SPREAD_MS: u64 = 2_000;

/// At most one warning a minute about each of so many peers and addresses.
const WARN_EVERY: Duration = Duration::from_mins(1);
const WARNINGS_MAX: usize = 1024;

/// The limit of warnings about one kind of thing.
pub(super) fn warning_limit<K: Eq + Hash>() -> LogLimit<K> {
    LogLimit::new(WARN_EVERY, WARNINGS_MAX)
}

/// Nodes that lost each other at the same time do not dial each other at the same time.
pub(super) fn pause() -> Duration {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes); // without it all nodes wait equally long
    Duration::from_millis(AGAIN_MIN_MS + u64::from_le_bytes(bytes) % AGAIN_SPREAD_MS)
}
