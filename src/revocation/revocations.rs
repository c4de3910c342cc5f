//! Every revocation in force, and the order in which one comes into force: journal, set, peers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::committer::{Committer, Import};
use super::entry::{DateKind, Id, MARGIN, Revocation, ShopTag, Source};
use super::horizon::DropHorizon;
use super::identity::{Cause, Identity};
use super::journal::{Journal, JournalError, Notes};
use super::journal_health::JournalHealth;
use super::replication::{Acks, Origin, ReplicationLog, Row, SyncPhase, SyncState};
use super::set::{Set, SetCounts, SumKey, UnverifiedCounts};
use crate::clock::{self, UnixTime};

/// How long a logout waits for the disk before it is answered with 503.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// A start that replays for longer tells once a second how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// After so many rows the clock is looked at.
const REPLAYED_BEFORE_A_LOOK: u64 = 4_096;

/// How old the last write of a journal may be at the start before it is warned of. A process writes once a minute,
/// and a restart takes a minute or two.
const JOURNAL_AGE_MAX: Duration = Duration::from_mins(5);

/// Every revocation in force: journalled, and asked by every request.
///
/// Only [`Revocations::open`] makes one, and it replays the journal first: code that holds one can't serve with an
/// empty list.
pub struct Revocations {
    pub(super) set: Arc<Set>,
    pub(super) committer: Committer,
    horizon: Mutex<DropHorizon>,
    replication_log: Arc<ReplicationLog>,
    sync_state: SyncState,
    acks: Acks,
    notes: Notes,
    /// The time that most other nodes go by, in seconds since the epoch; the greatest number: unknown.
    peers_time: AtomicU64,
    /// What ended before this moment was dropped, in seconds since the epoch.
    dropped: AtomicU64,
    /// How often a token of unknown age counted as new, and as old.
    pub(super) unknown_new: AtomicU64,
    pub(super) unknown_old: AtomicU64,
}

/// The revocation is in force here, but the disk does not have it: a restart could forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDurable;

impl Revocations {
    /// Opens the journal of a data folder and brings every row back into force. What it says is everything
    /// that there is: this node is the only one.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        let journal = Journal::open(data_dir)?;
        warn_of_age(journal.notes().clock);
        Ok(Self::replay(journal, SumKey::default(), MARGIN)?.alone())
    }

    /// The same for a node of a cluster, which must compare itself with the others before it serves.
    pub fn open_syncing(data_dir: &Path, sum_key: SumKey) -> Result<Self, JournalError> {
        Self::replay(Journal::open_syncing(data_dir)?, sum_key, MARGIN)
    }

    fn alone(mut self) -> Self {
        self.sync_state = SyncState::new(SyncPhase::Ready);
        if !self.notes.is_complete {
            self.committer.import(Import::complete());
        }
        self
    }

    /// Brings every row of a journal back into force. What seems to be over is kept for `grace` all the same, for the wall clock
    /// may be wrong.
    fn replay(journal: Journal, sum_key: SumKey, grace: Duration) -> Result<Self, JournalError> {
        let set = Arc::new(Set::summed_under(sum_key, grace));
        let now = clock::now();
        let (mut rows, mut told_at) = (0_u64, clock::instant());
        journal.replay(|revocation| {
            set.insert(&revocation, now);
            rows += 1;
            if rows.is_multiple_of(REPLAYED_BEFORE_A_LOOK)
                && clock::instant().duration_since(told_at) >= TOLD_EVERY
            {
                told_at = clock::instant();
                log::info!(rows; "replaying the journal");
            }
        })?;
        let notes = journal.notes().clone();
        let behind = notes.clock.since(now);
        if behind >= MARGIN {
            let behind = humantime::format_duration(behind);
            log::error!(behind:%; "the clock is far behind what it was when the journal was last written: is it right?");
        }
        let dropped = AtomicU64::new(notes.dropped.seconds());
        let replication_log = Arc::new(ReplicationLog::new(notes.origin, &notes.vector));
        let path = journal.path().to_owned();
        let committer = Committer::start(journal, Arc::clone(&set), Arc::clone(&replication_log))
            .map_err(|error| JournalError::Unreachable(path, error.to_string()))?;
        Ok(Self {
            set,
            committer,
            horizon: Mutex::new(DropHorizon::from(now, clock::instant(), grace)),
            replication_log,
            sync_state: SyncState::new(SyncPhase::Syncing),
            acks: Acks::default(),
            notes,
            peers_time: AtomicU64::new(u64::MAX),
            dropped,
            unknown_new: AtomicU64::new(0),
            unknown_old: AtomicU64::new(0),
        })
    }

    /// Why this token is refused, if it is.
    pub fn covers(&self, token: &Identity) -> Option<Cause> {
        self.set.covers(token)
    }

    /// Whether a revocation would change nothing; see [`Set::holds`].
    pub fn holds(&self, revocation: &Revocation) -> bool {
        self.set.holds(revocation)
    }

    /// Whether any token is revoked whose end is not known, such as an opaque one.
    pub fn has_undated(&self) -> bool {
        self.set.has_undated()
    }

    /// Whether such a token of this digest is revoked.
    pub fn has_undated_token(&self, id: &Id) -> bool {
        self.set.has_undated_token(id)
    }

    /// Whether a token that expires then may have been forgotten: the clock is so far behind what it once was that
    /// what was over then, and was dropped, is not over now. Whether such a token was logged out can't be known.
    pub fn may_have_forgotten(&self, expires_at: UnixTime, now: UnixTime) -> bool {
        let dropped = UnixTime::from_seconds(self.dropped.load(Ordering::Relaxed));
        now < dropped.minus(MARGIN) && expires_at < dropped.minus(MARGIN)
    }

    /// Puts revocations in force. On `Ok` they are on disk and in the set. On `Err` they are in the set,
    /// and will be written as soon as the disk takes them.
    ///
    /// A caller that is dropped while it waits changes nothing: the writing thread finishes the work.
    pub async fn revoke(&self, revocations: Vec<Revocation>) -> Result<(), NotDurable> {
        let written = self.committer.write(revocations.clone());
        match tokio::time::timeout(DISK_PATIENCE, written).await {
            Ok(Ok(Some(numbered))) => {
                let (origin, number) = (numbered.origin, numbered.number);
                self.acks.wait_for(origin, number).await; // peers have it, too
                Ok(())
            }
            Ok(Ok(None)) => Err(NotDurable),
            Ok(Err(_)) | Err(_) => {
                // The writer hangs in the disk or is gone: refuse from memory without it.
                let now = clock::now();
                for revocation in &revocations {
                    self.set.insert(revocation, now);
                }
                let rows = revocations.iter().map(Row::encode);
                self.replication_log.announce(rows.collect()); // peers get it all the same
                Err(NotDurable)
            }
        }
    }

    /// The same for what happens now: its cutoffs reach the tokens that were dated before this moment, too, and where dead
    /// tokens may live again, its tokens are dead whenever they were handed out before it. `meant`: what the names in them mean,
    /// if the journal does not say it yet.
    pub async fn revoke_now(
        &self,
        meant: Vec<Revocation>,
        revocations: Vec<Revocation>,
    ) -> Result<(), NotDurable> {
        let at_ms = self.set.next_ms(clock::now_ms());
        let revives = self.set.revives();
        let end = |one: &Revocation| match *one {
            Revocation::Token { .. } if !revives => None,
            Revocation::Cutoff { id, until, .. } | Revocation::Token { id, until, .. } => {
                Some(Revocation::Date {
                    id,
                    kind: DateKind::Ended,
                    at_ms,
                    until,
                })
            }
            Revocation::Date { .. } => None,
        };
        // Before the cutoffs: a cutoff without such a date covers every token that has none.
        let ends: Vec<_> = revocations.iter().filter_map(end).collect();
        self.revoke([meant, ends, revocations].concat()).await
    }

    /// Whether a dead token that was handed out again may live, on the word of this node or another.
    pub fn let_revive(&self, revives: bool) {
        self.set.let_revive(revives);
    }

    /// Whether any customer or token domain is cut off.
    pub fn has_cutoffs(&self) -> bool {
        self.set.has_cutoffs()
    }

    /// Whether the customer or the token domain of a token is cut off.
    pub fn has_cutoff_of(&self, token: &Identity) -> bool {
        self.set.covers_if_old(token)
    }

    /// Grows whenever something was put in force; see [`Set::changes`].
    pub fn changes(&self) -> u64 {
        self.set.changes()
    }

    /// Whether this node knows all that was revoked.
    pub fn sync_state(&self) -> &SyncState {
        &self.sync_state
    }

    /// How other nodes keep up.
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// Everything in force.
    pub(crate) fn set(&self) -> &Arc<Set> {
        &self.set
    }

    /// What was revoked lately, by which node.
    pub(crate) fn replication_log(&self) -> &Arc<ReplicationLog> {
        &self.replication_log
    }

    /// The node's journal from which an entry came, if that is one of the last million.
    pub fn origin_of(&self, id: &Id) -> Option<Origin> {
        self.replication_log.origin_of(id)
    }

    /// What the journal said beside the revocations when it was opened.
    pub(crate) fn notes_at_start(&self) -> &Notes {
        &self.notes
    }

    /// Writes what other nodes revoked, and how much of their work is known now. Does not wait for the disk.
    pub(crate) fn import(&self, import: Import) {
        self.committer.import(import);
    }

    /// What time most other nodes have; `None`: that is not known. Nothing is dropped before it is over by their clocks, too.
    pub(crate) fn note_time_of_others(&self, time: Option<UnixTime>) {
        let seconds = time.map_or(u64::MAX, UnixTime::seconds);
        self.peers_time.store(seconds, Ordering::Relaxed);
    }

    /// Drops what is over, in memory and on disk. To be called about once a second.
    pub fn tick(&self) {
        let now = clock::now();
        let step = self.horizon.lock().step(now, clock::instant());
        if step.is_set_back {
            log::warn!(now:%; "the wall clock was set back; revocations are kept accordingly longer");
            self.set.clock_stepped(now);
        }
        let peers_time = UnixTime::from_seconds(self.peers_time.load(Ordering::Relaxed));
        let horizon = step.horizon.min(peers_time);
        let ended = self.set.drop_ended_windows(horizon, now);
        if step.reads_undated {
            self.set.drop_ended_undated(horizon);
        }
        if !ended.is_empty() || step.reads_undated {
            self.dropped.fetch_max(horizon.seconds(), Ordering::Relaxed);
            self.committer
                .drop_ended(ended, step.reads_undated, horizon);
        }
        self.committer.touch();
    }

    /// Closes the journal at the end of the process, after what was ordered before is written.
    pub fn close(&self) {
        self.committer.close(DISK_PATIENCE);
    }

    /// How many live entries of a shop rest on unverified credentials.
    pub fn unverified(&self, shop: ShopTag, now: UnixTime) -> UnverifiedCounts {
        self.set.unverified(Source::Unverified(shop), now)
    }

    /// How much is in force now.
    pub fn counts(&self) -> SetCounts {
        self.set.counts()
    }

    /// How many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        self.set.bytes()
    }

    /// How the journal fares.
    pub fn journal(&self) -> &JournalHealth {
        self.committer.health()
    }
}

/// A whole disk that was set back to an earlier state looks in every way as it did then. Alone, a node can only see
/// that its journal ends long ago: it did not run since then, or this is that earlier state.
fn warn_of_age(written_at: UnixTime) {
    let age = clock::now().since(written_at);
    if written_at > UnixTime::EPOCH && age >= JOURNAL_AGE_MAX {
        let age = humantime::format_duration(age);
        log::warn!(
            age:%, written_at:%;
            "the journal was not written for long: if doorward ran meanwhile, this is an older state of the disk, and later logouts are forgotten; then cut off everybody with `doorward revoke --shop NAME --all-before now`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Window;
    use super::*;
    use std::future::Future;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(future)
    }

    fn token(number: u8, window: Window, until: UnixTime) -> Revocation {
        Revocation::Token {
            id: Id::from_bytes([number; 16]),
            window,
            until,
            source: Source::Verified,
        }
    }

    fn identity(number: u8, window: Window) -> Identity {
        Identity {
            id: Id::from_bytes([number; 16]),
            window,
            groups: smallvec::SmallVec::new(),
            issued_at: None,
            former: Box::default(),
        }
    }

    /// The journal of a folder, which is made where there is none.
    fn open(data_dir: &Path) -> Journal {
        Journal::init(data_dir).unwrap();
        Journal::open(data_dir).unwrap()
    }

    fn rows_on_disk(data_dir: &Path) -> usize {
        let mut rows = 0;
        let journal = open(data_dir);
        journal.replay(|_| rows += 1).unwrap();
        rows
    }

    /// Ticks until `over` says so; the test ends by its own failure when it never does.
    fn tick_until(revocations: &Revocations, over: impl Fn() -> bool) {
        let deadline = clock::instant() + Duration::from_secs(10);
        while !over() {
            assert!(clock::instant() < deadline, "nothing ended");
            revocations.tick();
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_over_leaves_memory_and_disk_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let revocations =
            Revocations::replay(open(folder.path()), SumKey::default(), Duration::ZERO).unwrap();
        let now = clock::now();
        let soon = now.plus(Duration::from_secs(1));
        let late = now.plus(Duration::from_hours(1));
        let (ending, staying) = (Window::from_number(1), Window::from_number(2));
        let written = revocations.revoke(vec![
            token(1, ending, soon),
            token(2, ending, now),
            token(3, staying, late),
            token(4, staying, soon),
            token(5, Window::UNDATED, UnixTime::FOREVER),
        ]);
        assert_eq!(wait(written), Ok(()));
        assert_eq!(revocations.counts().windows, 2);
        tick_until(&revocations, || revocations.journal().commits() == 2);
        assert_eq!(revocations.counts().windows, 1);
        assert!(revocations.covers(&identity(1, ending)).is_none());
        for (number, window) in [(3, staying), (4, staying), (5, Window::UNDATED)] {
            assert!(revocations.covers(&identity(number, window)).is_some());
        }
        // The writer works in order: when this one is on disk, the ended window has left it.
        let last = revocations.revoke(vec![token(6, staying, late)]);
        assert_eq!(wait(last), Ok(()));
        drop(revocations);
        assert_eq!(rows_on_disk(folder.path()), 4);
    }

    #[test]
    fn what_was_dropped_stays_over_when_the_clock_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            let key = SumKey::default();
            Revocations::replay(open(folder.path()), key, Duration::ZERO).unwrap()
        };
        let revocations = start();
        let now = clock::now();
        let end = now.minus(2 * MARGIN);
        let over = token(1, Window::of(Some(end)), now.minus(MARGIN));
        assert_eq!(wait(revocations.revoke(vec![over])), Ok(()));
        let two_hours_ago = now.minus(2 * MARGIN + Duration::from_mins(1));
        assert!(!revocations.may_have_forgotten(end, two_hours_ago));
        tick_until(&revocations, || revocations.counts().windows == 0);
        drop(revocations);
        let revocations = start();
        assert!(revocations.may_have_forgotten(end, two_hours_ago));
        assert!(
            !revocations.may_have_forgotten(end, now),
            "it is over anyway"
        );
        assert!(!revocations.may_have_forgotten(now, two_hours_ago));
    }

    #[test]
    fn a_start_brings_back_even_what_seems_to_be_over() {
        let folder = tempfile::tempdir().unwrap();
        let past = UnixTime::from_seconds(1_000_000);
        let window = Window::of(Some(past));
        let mut journal = open(folder.path());
        journal.write([token(1, window, past)].iter()).unwrap();
        drop(journal);
        let revocations = Revocations::open(folder.path()).unwrap();
        revocations.tick();
        assert!(revocations.covers(&identity(1, window)).is_some());
    }
}
