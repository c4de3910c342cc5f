//! Whether the journal takes writes, and how it did so far: what metrics and readiness read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Whether the journal takes writes, and how it did so far.
#[derive(Debug)]
pub struct JournalHealth {
    pub(super) failing: AtomicBool,
    pub(super) failures: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) latency: Histogram,
}

impl Default for JournalHealth {
    fn default() -> Self {
        Self {
            failing: AtomicBool::default(),
            failures: AtomicU64::default(),
            commits: AtomicU64::default(),
            written: AtomicU64::default(),
            latency: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)), // to two seconds
        }
    }
}

impl JournalHealth {
    /// Whether the last write succeeded.
    pub fn is_writable(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// How many transactions failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many transactions reached the disk.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// How long the transactions took that reached the disk, in seconds.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// How many revocations reached the disk.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}
