//! A flag for work in progress, so that it is not begun twice.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the work is in progress.
#[derive(Debug, Default)]
pub(super) struct Busy(AtomicBool);

/// Holds the flag until it is dropped, also when the task is cancelled.
pub(super) struct BusyGuard<'a>(&'a Busy);

impl Busy {
    /// Sets the flag; `None` if it is set already.
    pub(super) fn begin(&self) -> Option<BusyGuard<'_>> {
        let was_busy = self.0.swap(true, Ordering::Relaxed);
        (!was_busy).then_some(BusyGuard(self))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}
