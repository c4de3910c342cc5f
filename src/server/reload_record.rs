//! The outcome of the reloads, for metrics and status.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock::UnixTime;

/// Counts reloads.
pub(crate) struct ReloadRecord {
    last_failed: AtomicBool,
    last_good_at: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl ReloadRecord {
    /// Of a process that has just started.
    pub(crate) fn since(start: UnixTime) -> Self {
        Self {
            last_failed: AtomicBool::new(false),
            last_good_at: AtomicU64::new(start.seconds()),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A reload ended.
    pub(crate) fn record(&self, good: bool, now: UnixTime) {
        self.last_failed.store(!good, Ordering::Relaxed);
        if good {
            self.last_good_at.store(now.seconds(), Ordering::Relaxed);
            self.succeeded.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the file was taken the last time that it was read.
    pub(crate) fn is_last_good(&self) -> bool {
        !self.last_failed.load(Ordering::Relaxed)
    }

    /// When a configuration was last taken, the start included.
    pub(crate) fn last_good_at(&self) -> UnixTime {
        UnixTime::from_seconds(self.last_good_at.load(Ordering::Relaxed))
    }

    /// How many reloads succeeded.
    pub(crate) fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// How many reloads failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
