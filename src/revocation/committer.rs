//! The one thread that writes: it gathers logouts for a moment, commits them together, and only then
//! tells who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::{error, info};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::oneshot;

use super::entry::{Revocation, Window};
use super::journal::{Journal, JournalError};
use super::set::Set;
use crate::clock::{self, UnixTime};

/// How long the first logout of a group waits for company: less than an fsync, so nobody feels it.
const GATHER: Duration = Duration::from_millis(1);

/// How many orders go into one transaction at the most.
const GROUP_MAX: usize = 4096;

/// The way to the writing thread. Dropping it waits until the last order is carried out.
pub(super) struct Committer {
    /// `None` only while it is dropped.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    health: Arc<Health>,
}

/// Whether the journal takes writes, and how it did so far.
#[derive(Debug)]
pub struct Health {
    failing: AtomicBool,
    failures: AtomicU64,
    commits: AtomicU64,
    written: AtomicU64,
    latency: Histogram,
}

impl Default for Health {
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

impl Health {
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

enum Order {
    Write {
        revocations: Vec<Revocation>,
        done: oneshot::Sender<bool>,
    },
    Drop {
        windows: Vec<Window>,
        undated: bool,
        now: UnixTime,
    },
}

impl Committer {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(super) fn start(journal: Journal, set: Arc<Set>) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let health = Arc::new(Health::default());
        let writer = Writer {
            journal,
            set,
            health: Arc::clone(&health),
            unwritten: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&inbox))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            health,
        })
    }

    pub(super) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Orders a write; the answer says whether it is on disk.
    pub(super) fn write(&self, revocations: Vec<Revocation>) -> oneshot::Receiver<bool> {
        let (done, answer) = oneshot::channel();
        self.send(Order::Write { revocations, done });
        answer
    }

    /// Orders the deletion of what is over.
    pub(super) fn drop_ended(&self, windows: Vec<Window>, undated: bool, now: UnixTime) {
        self.send(Order::Drop {
            windows,
            undated,
            now,
        });
    }

    /// A writer that is gone drops the order, and with it `done`: the waiter learns that nothing was written.
    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it may have panicked, and said so
        }
    }
}

struct Writer {
    journal: Journal,
    set: Arc<Set>,
    health: Arc<Health>,
    /// In force but not yet on disk: written with the next transaction that succeeds.
    unwritten: Vec<Revocation>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            gather(inbox, &mut group);
            self.commit(group);
        }
    }

    /// One revocation's life: journal, then set, then the answer.
    fn commit(&mut self, group: Vec<Order>) {
        let mut fresh = Vec::new();
        let mut waiting = Vec::new();
        for order in group {
            match order {
                Order::Write { revocations, done } => {
                    fresh.extend(revocations);
                    waiting.push(done);
                }
                Order::Drop {
                    windows,
                    undated,
                    now,
                } => self.drop_ended(&windows, undated, now),
            }
        }
        if fresh.is_empty() && self.unwritten.is_empty() && self.health.is_writable() {
            return; // while it fails, an empty transaction asks whether it still does
        }
        let begun = clock::instant();
        let written = self.journal.write(self.unwritten.iter().chain(&fresh)); // a restart will not forget them
        if written.is_ok() {
            let took = clock::instant().duration_since(begun);
            self.health.latency.observe(took.as_secs_f64());
        }
        let now = clock::now();
        for revocation in &fresh {
            self.set.insert(revocation, now); // refused here from now on, written or not
        }
        let durable = self.settle(written, fresh);
        for done in waiting {
            let _ = done.send(durable); // who waited may have hung up; the revocation stands
        }
    }

    /// Notes how a write went, and keeps what it could not write.
    fn settle(&mut self, written: Result<(), JournalError>, fresh: Vec<Revocation>) -> bool {
        match written {
            Ok(()) => {
                let count = (self.unwritten.len() + fresh.len()) as u64;
                self.health.commits.fetch_add(1, Ordering::Relaxed);
                self.health.written.fetch_add(count, Ordering::Relaxed);
                if self.health.failing.swap(false, Ordering::Relaxed) {
                    let caught_up = self.unwritten.len();
                    info!(caught_up; "the journal is written again");
                }
                self.unwritten.clear();
                true
            }
            Err(error) => {
                self.unwritten.extend(fresh);
                self.note_failure(&error);
                false
            }
        }
    }

    fn drop_ended(&mut self, windows: &[Window], undated: bool, now: UnixTime) {
        if !windows.is_empty() {
            let dropped = self.journal.drop_windows(windows, now);
            self.note(dropped);
        }
        if undated {
            let dropped = self.journal.drop_undated(now);
            self.note(dropped);
        }
    }

    fn note(&self, dropped: Result<(), JournalError>) {
        match dropped {
            Ok(()) => {
                self.health.commits.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.note_failure(&error),
        }
    }

    fn note_failure(&self, error: &JournalError) {
        self.health.failures.fetch_add(1, Ordering::Relaxed);
        let unwritten = self.unwritten.len();
        if !self.health.failing.swap(true, Ordering::Relaxed) {
            error!(unwritten; "{error}; logouts are answered with 503 until it can be, their tokens are refused from memory");
        }
    }
}

/// Waits a moment for more orders than the first.
fn gather(inbox: &Receiver<Order>, group: &mut Vec<Order>) {
    let deadline = clock::instant() + GATHER;
    while group.len() < GROUP_MAX {
        let left = deadline.saturating_duration_since(clock::instant());
        match inbox.recv_timeout(left) {
            Ok(order) => group.push(order),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
