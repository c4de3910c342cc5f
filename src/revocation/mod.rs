//! The life of a revocation: logout, journal (on disk), set (in memory); only then the customer is told.

mod allowance;
mod committer;
mod entry;
mod journal;
mod set;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use allowance::{Allowance, Clients};
pub use committer::Health;
pub use entry::{Cause, Group, Id, Identity, Kind, MARGIN, Revocation, ShopTag, Source, Window};
pub use journal::{Journal, JournalError};
pub use set::{Counts, Set};

use crate::clock::{self, UnixTime};
use committer::Committer;

/// How long a logout waits for the disk before it is told to come back.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// A step of the wall clock that is more than the drift of a second.
const STEP_MIN: Duration = Duration::from_secs(2);

/// Every revocation in force: journalled, and asked by every request.
///
/// It can only be had by [`Revocations::open`], which replays the journal first: whoever holds one can't
/// serve with an empty list.
pub struct Revocations {
    set: Arc<Set>,
    committer: Committer,
    clients: Clients,
    ticks: Mutex<Ticks>,
}

/// The revocation is in force here, but the disk does not have it: a restart could forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDurable;

/// What [`Revocations::tick`] saw last.
struct Ticks {
    started: Instant,
    started_at: UnixTime,
    last: Instant,
    last_at: UnixTime,
    undated_dropped: Instant,
}

impl Revocations {
    /// Opens the journal of a data folder and brings every row back into force.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        let journal = Journal::open(data_dir)?;
        let set = Arc::new(Set::default());
        let now = clock::now();
        journal.replay(|revocation| {
            set.insert(&revocation, now);
        })?;
        let committer = Committer::start(journal, Arc::clone(&set))
            .map_err(|error| JournalError::Unreachable(data_dir.to_owned(), error.to_string()))?;
        let instant = clock::instant();
        Ok(Self {
            set,
            committer,
            clients: Clients::default(),
            ticks: Mutex::new(Ticks {
                started: instant,
                started_at: now,
                last: instant,
                last_at: now,
                undated_dropped: instant,
            }),
        })
    }

    /// Why this token is refused, if it is.
    pub fn covers(&self, token: &Identity) -> Option<Cause> {
        self.set.covers(token)
    }

    /// Puts revocations in force. On `Ok` they are on disk and in the set. On `Err` they are in the set,
    /// and will be written as soon as the disk takes them.
    ///
    /// A caller that is dropped while it waits changes nothing: the writing thread finishes the work.
    pub async fn revoke(&self, revocations: Vec<Revocation>) -> Result<(), NotDurable> {
        let written = self.committer.write(revocations.clone());
        match tokio::time::timeout(DISK_PATIENCE, written).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(NotDurable),
            Ok(Err(_)) | Err(_) => {
                // The writer hangs in the disk or is gone: refuse from memory without it.
                let now = clock::now();
                for revocation in &revocations {
                    self.set.insert(revocation, now);
                }
                Err(NotDurable)
            }
        }
    }

    /// Whether these may be made, as far as unverified credentials ask for them.
    pub fn admit(
        &self,
        client: IpAddr,
        revocations: &[Revocation],
        allowance: Allowance,
        now: UnixTime,
    ) -> bool {
        revocations.iter().all(|revocation| match revocation {
            Revocation::Token {
                source: source @ Source::Unverified(_),
                ..
            } => {
                self.set.unverified(*source) < allowance.per_shop
                    && self.clients.admit(client, allowance.per_client_minute, now)
            }
            Revocation::Token { .. } | Revocation::Cutoff { .. } => true,
        })
    }

    /// Drops what is over, in memory and on disk. To be called about once a second.
    pub fn tick(&self) {
        /// Undated rows are few and end rarely; their range is read as a whole.
        const UNDATED_EVERY: Duration = Duration::from_mins(10);

        let now = clock::now();
        let instant = clock::instant();
        let mut ticks = self.ticks.lock();
        let real = instant.duration_since(ticks.last);
        let shown = now.since(ticks.last_at);
        ticks.last = instant;
        ticks.last_at = now;
        if real > shown + STEP_MIN {
            log::warn!(now:%; "the wall clock was set back; revocations are kept accordingly longer");
            self.set.clock_stepped(now);
        }
        let horizon = ticks.horizon(now, instant);
        let undated = instant.duration_since(ticks.undated_dropped) >= UNDATED_EVERY;
        if undated {
            ticks.undated_dropped = instant;
        }
        drop(ticks);
        let ended = self.set.sweep(horizon);
        if !ended.is_empty() || undated || !self.committer.health().is_writable() {
            self.committer.drop_ended(ended, undated, horizon);
        }
    }

    /// How much is in force now.
    pub fn counts(&self) -> Counts {
        self.set.counts()
    }

    /// How the journal fares.
    pub fn journal(&self) -> &Health {
        self.committer.health()
    }
}

impl Ticks {
    /// What ended before this moment may be dropped.
    ///
    /// Nothing is dropped because the wall clock jumped ahead: it counts only as far as the monotonic one
    /// agrees, and not at all in the first hour, for it may have been wrong when we started.
    fn horizon(&self, now: UnixTime, instant: Instant) -> UnixTime {
        let running = instant.duration_since(self.started);
        if running < MARGIN {
            return UnixTime::EPOCH;
        }
        now.min(self.started_at.plus(running))
    }
}
