//! The outcome of the reloads, for metrics and status.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::UnixTime;

/// Counts reloads.
pub(crate) struct ReloadRecord {
    last_failed: AtomicBool,
    last_good_at: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// When the file was last read, and what was wrong with it.
    last: Mutex<(UnixTime, Option<String>)>,
}

impl ReloadRecord {
    /// Of a process that has just started.
    pub(crate) fn since(start: UnixTime) -> Self {
        Self {
            last_failed: AtomicBool::new(false),
            last_good_at: AtomicU64::new(start.seconds()),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::new((start, None)),
        }
    }

    /// A reload ended.
    pub(crate) fn record(&self, failure: Option<String>, now: UnixTime) {
        let good = failure.is_none();
        *self.last.lock() = (now, failure);
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

    /// When a configuration was last read, and why it was not taken, in one line.
    pub(crate) fn last(&self) -> (UnixTime, Option<String>) {
        self.last.lock().clone()
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
