//! Whether this node knows all that was revoked: what decides whether credentials may be judged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{self, UnixTime};

/// How far this node is on its way to knowing all revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SyncPhase {
    /// Nothing was read yet.
    Starting = 0,
    /// The journal is being read.
    Restoring = 1,
    /// Other nodes may know what this one does not.
    Syncing = 2,
    /// Everything that was in force is known.
    Ready = 3,
    /// Everything was known, and a node that may take logouts is silent.
    Stale = 4,
}

impl SyncPhase {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Restoring,
        Self::Syncing,
        Self::Ready,
        Self::Stale,
    ];

    /// The word for logs, metrics and people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Restoring => "restoring",
            Self::Syncing => "syncing",
            Self::Ready => "ready",
            Self::Stale => "stale",
        }
    }

    /// The phase that another node sends as that number; one that is not known here is no good one.
    pub fn from_number(number: u8) -> Self {
        let known = Self::ALL.into_iter().find(|phase| *phase as u8 == number);
        known.unwrap_or(Self::Starting)
    }
}

/// Whether this node may judge credentials; every request asks.
#[derive(Debug)]
pub struct SyncState {
    /// What was found last; `serves` beside it is read by every request, and taken back when it is too old.
    found: Mutex<SyncFinding>,
    serves: AtomicBool,
    /// Until when this counts, in seconds since the epoch and in milliseconds since the machine was started. A process
    /// that was stopped, or a machine that slept, has missed what was revoked meanwhile, and must not serve before
    /// it has noticed; which of the two clocks shows that depends on what stopped it.
    until: AtomicU64,
    until_uptime_ms: AtomicU64,
}

impl SyncState {
    /// For how long a state counts that is not confirmed.
    pub const LASTS: Duration = Duration::from_secs(5);

    /// The state of a node that knows what its journal says, and nothing of others.
    pub(in crate::revocation) fn new(state: SyncPhase) -> Self {
        let serves = state == SyncPhase::Ready;
        let until = if serves { u64::MAX } else { 0 };
        Self {
            found: Mutex::new(SyncFinding {
                state,
                serves,
                why: String::new(),
                stale_s: 0,
            }),
            serves: AtomicBool::new(serves),
            until: AtomicU64::new(until),
            until_uptime_ms: AtomicU64::new(until),
        }
    }

    /// Whether credentials may be judged.
    pub fn serves(&self, now: UnixTime) -> bool {
        self.serves.load(Ordering::Acquire) && now.seconds() <= self.until.load(Ordering::Relaxed)
    }

    /// Whether credentials may be judged at this moment. A state that was not confirmed for too long is taken back first.
    pub fn may_judge(&self, now: UnixTime) -> bool {
        self.check_age(clock::uptime_ms);
        self.serves(now)
    }

    /// Takes back a state that was not confirmed for too long, before a credential is judged by it.
    pub fn check_age(&self, uptime_ms: impl Fn() -> u64) {
        let until_ms = self.until_uptime_ms.load(Ordering::Relaxed);
        if until_ms != u64::MAX && uptime_ms() > until_ms {
            self.serves.store(false, Ordering::Release);
        }
    }

    /// The state, as it was found last.
    pub fn state(&self) -> SyncPhase {
        self.found.lock().state
    }

    /// Why it is so, for people; empty, where there is nothing to say.
    pub fn why(&self) -> String {
        self.found.lock().why.clone()
    }

    /// For how many seconds a node is silent whose logouts may be missing; `None`: there is none.
    pub fn stale_s(&self) -> Option<u64> {
        let found = self.found.lock();
        (found.state == SyncPhase::Stale).then_some(found.stale_s)
    }

    /// What was found `now`.
    pub(crate) fn set(&self, found: SyncFinding, now: UnixTime, uptime_ms: u64) {
        let lasts_ms = u64::try_from(Self::LASTS.as_millis()).unwrap_or(u64::MAX);
        self.until_uptime_ms
            .store(uptime_ms.saturating_add(lasts_ms), Ordering::Relaxed);
        self.until
            .store(now.plus(Self::LASTS).seconds(), Ordering::Relaxed);
        let serves = found.serves;
        *self.found.lock() = found;
        self.serves.store(serves, Ordering::Release);
    }
}

/// What a look at the cluster found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncFinding {
    /// The state.
    pub(crate) state: SyncPhase,
    /// Whether credentials may be judged in it.
    pub(crate) serves: bool,
    /// Why it is so.
    pub(crate) why: String,
    /// For how many seconds another node is silent.
    pub(crate) stale_s: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_not_confirmed_is_over() {
        let now = UnixTime::from_seconds(1_000);
        let sync_state = SyncState::new(SyncPhase::Syncing);
        assert!(!sync_state.serves(now));
        sync_state.set(
            SyncFinding {
                state: SyncPhase::Ready,
                serves: true,
                why: String::new(),
                stale_s: 0,
            },
            now,
            7_000,
        );
        assert!(sync_state.serves(now.plus(SyncState::LASTS)));
        assert!(!sync_state.serves(now.plus(Duration::from_secs(6))));
        sync_state.check_age(|| 12_000);
        assert!(sync_state.serves(now));
        sync_state.check_age(|| 12_001);
        assert!(!sync_state.serves(now), "the clock on the wall stood still");
        let alone = SyncState::new(SyncPhase::Ready);
        assert!(alone.serves(UnixTime::from_seconds(u64::MAX - 1)));
    }
}
