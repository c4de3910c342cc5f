//! A mark on what is being done, so that nobody else begins it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something is being done.
#[derive(Debug, Default)]
pub(super) struct Busy(AtomicBool);

/// It is being done for as long as this lives, also where the task that does it is dropped.
pub(super) struct Doing<'a>(&'a Busy);

impl Busy {
    /// Begins, unless somebody else has.
    pub(super) fn begin(&self) -> Option<Doing<'_>> {
        let was_busy = self.0.swap(true, Ordering::Relaxed);
        (!was_busy).then_some(Doing(self))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}
