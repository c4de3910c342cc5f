//! How often the issue time of a token mattered and was not known.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often a token without issue time and date was presented whose customer had logged out.
#[derive(Debug, Default)]
pub struct UnknownCounts {
    pub(super) new: AtomicU64,
    pub(super) old: AtomicU64,
}

impl UnknownCounts {
    /// How many counted as issued after the logout, and passed.
    pub fn passed(&self) -> u64 {
        self.new.load(Ordering::Relaxed)
    }

    /// How often one counted as issued before the logout, and was refused.
    pub fn refused(&self) -> u64 {
        self.old.load(Ordering::Relaxed)
    }
}
