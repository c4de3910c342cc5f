//! The queue of requests that wait until one of several servers has room for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// The requests that wait for the servers of one upstream, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct RequestQueue {
    /// How many wait here.
    waiting: AtomicUsize,
    /// Together with those of former configurations.
    counts: Arc<QueueCounts>,
    /// The request that has it is the first, and looks for a server. It is handed on in order.
    first: Mutex<()>,
}

#[derive(Debug, Default)]
struct QueueCounts {
    waiting: AtomicU64,
    full: AtomicU64,
    timed_out: AtomicU64,
}

/// How full the queue of an upstream is, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Requests that wait now.
    pub waiting: u64,
    /// Requests that were refused because too many waited, since the start.
    pub full: u64,
    /// Requests that waited for too long, since the start.
    pub timed_out: u64,
}

/// A place in the queue. Dropping it gives the place up.
#[derive(Debug)]
pub(super) struct QueuePlace<'a>(&'a RequestQueue);

impl RequestQueue {
    /// The queue of the next configuration. Requests that wait here may wait for servers that it does not have: none
    /// waits behind them there, and they take no place of it.
    pub(super) fn successor(&self) -> Self {
        Self {
            waiting: AtomicUsize::default(),
            counts: Arc::clone(&self.counts),
            first: Mutex::default(),
        }
    }

    /// Whether a request that has just come is the next one.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Takes a place behind the others; `None`: so many wait already.
    pub(super) fn enter(&self, most: usize) -> Option<QueuePlace<'_>> {
        let more = |waiting| (waiting < most).then_some(waiting + 1);
        let waiting = &self.waiting;
        let entered = waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        let counted = match entered {
            Ok(_) => &self.counts.waiting,
            Err(_) => &self.counts.full,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        entered.ok().map(|_| QueuePlace(self))
    }

    /// A request has waited for too long.
    pub(super) fn note_timed_out(&self) {
        self.counts.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> QueueState {
        QueueState {
            waiting: self.counts.waiting.load(Ordering::Relaxed),
            full: self.counts.full.load(Ordering::Relaxed),
            timed_out: self.counts.timed_out.load(Ordering::Relaxed),
        }
    }
}

impl<'a> QueuePlace<'a> {
    /// Waits until it is the first.
    pub(super) async fn become_first(&self) -> MutexGuard<'a, ()> {
        self.0.first.lock().await
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.counts.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
