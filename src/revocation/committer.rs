//! The one thread that writes: it gathers logouts for a moment, commits them together, and only then
//! answers those that wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{error, info};
use tokio::sync::oneshot;

use super::entry::{Revocation, Window};
use super::journal::{Journal, JournalError, Progress};
use super::journal_health::JournalHealth;
use super::replication::{Origin, ReplicationLog, Row};
use super::set::Set;
use super::snapshot::RevocationSnapshot;
use crate::clock::{self, UnixTime};

/// How long the first logout of a group waits for others: less than an fsync takes.
const GATHER: Duration = Duration::from_millis(1);

/// How many orders go into one transaction at the most.
const GROUP_MAX: usize = 4096;

/// How many rows of other nodes go into one transaction at the most: a logout that comes meanwhile waits for it.
const IMPORT_MAX: usize = 8192;

/// How often the time is noted where nothing else is written.
const CLOCK_EVERY: Duration = Duration::from_mins(1);

/// The way to the writing thread. Dropping it waits until the last order is carried out.
pub(super) struct Committer {
    /// `None` only while it is dropped.
    orders: Option<Sender<WriteOrder>>,
    thread: Option<JoinHandle<()>>,
    health: Arc<JournalHealth>,
}

enum WriteOrder {
    Write {
        revocations: Vec<Revocation>,
        done: oneshot::Sender<Option<Numbered>>,
    },
    Drop {
        windows: Vec<Window>,
        undated: bool,
        now: UnixTime,
    },
    Import(Import),
    /// Read everything that was ordered before.
    Read(oneshot::Sender<RevocationSnapshot>),
    /// End, once everything is written that was ordered before. The channel ends when the journal is closed.
    Close(Sender<()>),
    /// Write if nothing was written for long: the time is noted, and a disk that failed is asked again.
    Touch,
}

/// What other nodes revoked; it is in force already.
#[derive(Debug, Default)]
pub(crate) struct Import {
    pub(crate) revocations: Vec<Revocation>,
    /// Once these are on disk, so much is known.
    pub(crate) progress: Progress,
}

impl Import {
    /// The journal holds everything that is in force.
    pub(crate) fn complete() -> Self {
        Self::noting(Progress {
            is_complete: true,
            ..Progress::default()
        })
    }

    /// This is to be noted, beside no revocation.
    pub(crate) fn noting(progress: Progress) -> Self {
        Self {
            revocations: Vec::new(),
            progress,
        }
    }

    fn is_empty(&self) -> bool {
        self.revocations.is_empty() && self.progress == Progress::default()
    }
}

/// The number of the last revocation that this node took, and the origin that numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) origin: Origin,
    pub(super) number: u64,
}

impl Committer {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(super) fn start(
        journal: Journal,
        set: Arc<Set>,
        replication_log: Arc<ReplicationLog>,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let health = Arc::new(JournalHealth::default());
        let writer = Writer {
            journal,
            set,
            replication_log,
            health: Arc::clone(&health),
            unwritten: Vec::new(),
            imports: VecDeque::new(),
            touched: clock::instant(),
            closing: None,
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

    pub(super) fn health(&self) -> &Arc<JournalHealth> {
        &self.health
    }

    /// Orders a write; the answer says under which number it is on disk, if it is.
    pub(super) fn write(
        &self,
        revocations: Vec<Revocation>,
    ) -> oneshot::Receiver<Option<Numbered>> {
        let (done, answer) = oneshot::channel();
        self.send(WriteOrder::Write { revocations, done });
        answer
    }

    /// Orders the deletion of what is over.
    pub(super) fn drop_ended(&self, windows: Vec<Window>, undated: bool, now: UnixTime) {
        self.send(WriteOrder::Drop {
            windows,
            undated,
            now,
        });
    }

    /// Orders what other nodes revoked to be written, after all that was ordered before.
    pub(super) fn import(&self, import: Import) {
        self.send(WriteOrder::Import(import));
    }

    /// Orders a snapshot of everything that was ordered before. It ends without one if the journal can't be read.
    pub(super) fn snapshot(&self) -> oneshot::Receiver<RevocationSnapshot> {
        let (done, answer) = oneshot::channel();
        self.send(WriteOrder::Read(done));
        answer
    }

    /// Orders the time to be noted now and then.
    pub(super) fn touch(&self) {
        self.send(WriteOrder::Touch);
    }

    /// Writes everything that was ordered before and closes the journal; nothing is written afterwards. Waits for that,
    /// but not for a disk that hangs.
    pub(super) fn close(&self, patience: Duration) {
        let (closing, closed) = channel();
        self.send(WriteOrder::Close(closing));
        let _ = closed.recv_timeout(patience); // nothing is ever sent: it ends
    }

    /// A writer that is gone drops the order, and with it `done`: the waiter learns that nothing was written.
    fn send(&self, order: WriteOrder) {
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
    replication_log: Arc<ReplicationLog>,
    health: Arc<JournalHealth>,
    /// In force but not yet on disk: written with the next transaction that succeeds.
    unwritten: Vec<Revocation>,
    /// The same for rows of other nodes. Logouts that are waited for are written first.
    imports: VecDeque<Import>,
    /// When something was last written.
    touched: Instant,
    /// Set once the thread is to end. The last field: it is dropped after the journal, so that the caller learns of the end then.
    closing: Option<Sender<()>>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<WriteOrder>) {
        while let Some(group) = self.next_group(inbox) {
            self.commit(group);
            if self.closing.is_some() && self.imports.is_empty() {
                return;
            }
        }
    }

    /// The next orders; none at all, while there is something left to import. `None`: it is over.
    fn next_group(&self, inbox: &Receiver<WriteOrder>) -> Option<Vec<WriteOrder>> {
        let mut group = Vec::new();
        if self.imports.is_empty() || !self.health.is_writable() {
            group.push(inbox.recv().ok()?);
            gather(inbox, &mut group);
        } else {
            group.extend(inbox.try_iter().take(GROUP_MAX));
        }
        Some(group)
    }

    /// One revocation's life: journal, then set, then the answer.
    fn commit(&mut self, group: Vec<WriteOrder>) {
        let mut fresh = Vec::new();
        let mut waiting = Vec::new();
        let mut readers = Vec::new();
        for order in group {
            match order {
                WriteOrder::Write { revocations, done } => {
                    fresh.extend(revocations);
                    waiting.push(done);
                }
                WriteOrder::Drop {
                    windows,
                    undated,
                    now,
                } => self.drop_ended(&windows, undated, now),
                WriteOrder::Import(import) => self.imports.push_back(import),
                WriteOrder::Read(reader) => readers.push(reader),
                WriteOrder::Close(closing) => self.closing = Some(closing),
                WriteOrder::Touch => {}
            }
        }
        let numbered = self.write_group(fresh);
        for done in waiting {
            let _ = done.send(numbered); // the waiting request may be gone; the revocation stands
        }
        for reader in readers {
            self.let_read(reader);
        }
    }

    /// The number of the last revocation, if everything of this node is on disk.
    fn write_group(&mut self, fresh: Vec<Revocation>) -> Option<Numbered> {
        let import = self.next_import();
        if !self.is_due(&fresh, &import) {
            let (origin, number) = self.replication_log.own();
            return Some(Numbered { origin, number });
        }
        let written = self.write(&fresh, &import); // a restart will not forget them
        let now = clock::now();
        for revocation in &fresh {
            self.set.insert(revocation, now); // refused here from now on, written or not
        }
        self.settle(written, fresh, import)
    }

    fn let_read(&mut self, reader: oneshot::Sender<RevocationSnapshot>) {
        match self.journal.snapshot() {
            Ok(rows) => {
                let imports = self.imports.iter();
                let imports = imports.flat_map(|import| &import.revocations);
                let unwritten = self.unwritten.iter().chain(imports).copied().collect();
                let _ = reader.send(RevocationSnapshot { rows, unwritten }); // it may be gone
            }
            Err(error) => error!("the journal can't be read: {error}"),
        }
    }

    fn is_due(&self, fresh: &[Revocation], import: &Import) -> bool {
        let is_something = !fresh.is_empty() || !self.unwritten.is_empty() || !import.is_empty();
        // While it fails, an empty transaction asks whether it still does.
        is_something
            || !self.health.is_writable()
            || clock::instant().duration_since(self.touched) >= CLOCK_EVERY
    }

    /// As much as fits into one transaction. What is noted with it comes last.
    fn next_import(&mut self) -> Import {
        let mut import = Import::default();
        while let Some(next) = self.imports.front_mut() {
            let room = IMPORT_MAX - import.revocations.len();
            if next.revocations.len() > room {
                import.revocations.extend(next.revocations.drain(..room));
                break;
            }
            let Some(next) = self.imports.pop_front() else {
                break;
            };
            import.revocations.extend(next.revocations);
            import.progress.add(next.progress);
        }
        import
    }

    /// One transaction with everything that waits, and how far that brings the vector.
    fn write(&mut self, fresh: &[Revocation], import: &Import) -> Result<(), JournalError> {
        let own = self.unwritten.len() + fresh.len();
        let mut progress = import.progress.clone();
        let (origin, number) = self.replication_log.own();
        if own > 0 {
            progress.reached.push((origin, number + own as u64));
        }
        let all = self
            .unwritten
            .iter()
            .chain(fresh)
            .chain(&import.revocations);
        let begun = clock::instant();
        let written = self.journal.write_with(all, &progress, clock::now());
        if written.is_ok() {
            self.touched = clock::instant();
            let took = self.touched.duration_since(begun);
            self.health.latency.observe(took.as_secs_f64());
        }
        written
    }

    /// Notes how a write went, and keeps what it could not write. Peers get it either way.
    fn settle(
        &mut self,
        written: Result<(), JournalError>,
        fresh: Vec<Revocation>,
        import: Import,
    ) -> Option<Numbered> {
        match written {
            Ok(()) => {
                let own = self.unwritten.drain(..).chain(fresh);
                let own: Vec<_> = own.map(|revocation| Row::encode(&revocation)).collect();
                let count = own.len() + import.revocations.len();
                self.health.commits.fetch_add(1, Ordering::Relaxed);
                self.health
                    .written
                    .fetch_add(count as u64, Ordering::Relaxed);
                if self.health.failing.swap(false, Ordering::Relaxed) {
                    info!(caught_up = count; "the journal is written again");
                }
                if !own.is_empty() {
                    self.replication_log.append_own(own, clock::uptime_ms());
                }
                if let Some(origin) = import.progress.origin {
                    self.replication_log.renew(origin);
                }
                let (origin, number) = self.replication_log.own();
                Some(Numbered { origin, number })
            }
            Err(error) => {
                if !fresh.is_empty() {
                    self.replication_log
                        .announce(fresh.iter().map(Row::encode).collect());
                }
                self.unwritten.extend(fresh);
                if !import.is_empty() {
                    self.imports.push_front(import);
                }
                self.note_failure(&error);
                None
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
fn gather(inbox: &Receiver<WriteOrder>, group: &mut Vec<WriteOrder>) {
    let deadline = clock::instant() + GATHER;
    while group.len() < GROUP_MAX {
        let left = deadline.saturating_duration_since(clock::instant());
        match inbox.recv_timeout(left) {
            Ok(order) => group.push(order),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
