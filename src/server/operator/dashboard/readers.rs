//! Who reads the events: few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many pages may be open at a time.
const READERS_MAX: usize = 16;

/// Counts the readers.
#[derive(Clone, Default)]
pub(super) struct ReaderCount(Arc<AtomicUsize>);

/// Counts as a reader until it is dropped.
pub(crate) struct Reader(ReaderCount);

impl ReaderCount {
    /// One more; `None`: there are enough.
    pub(super) fn admit(&self) -> Option<Reader> {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        let reader = Reader(self.clone());
        (before < READERS_MAX).then_some(reader)
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room_for_another() {
        let readers = ReaderCount::default();
        let mut all: Vec<_> = (0..READERS_MAX).map(|_| readers.admit().unwrap()).collect();
        assert!(readers.admit().is_none());
        all.pop();
        assert!(readers.admit().is_some());
        drop(all);
        assert!(!readers.are_there());
    }
}
