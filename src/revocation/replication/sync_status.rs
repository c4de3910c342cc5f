//! Whether this node knows all that was revoked: what decides whether credentials may be judged.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
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
    /// Everything was known, and a node that may take logouts can't be heard.
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

    /// The state with that number; one that is not known is no good state.
    pub fn from_number(number: u8) -> Self {
        let known = Self::ALL.into_iter().find(|state| *state as u8 == number);
        known.unwrap_or(Self::Starting)
    }
}

/// Whether this node may judge credentials; every request asks.
#[derive(Debug)]
pub struct SyncState {
    state: AtomicU8,
    serves: AtomicBool,
    /// Until when this counts, in seconds since the epoch and in milliseconds since the machine was started. A process
    /// that was stopped, or a machine that slept, has missed what was revoked meanwhile, and must not serve before
    /// it has noticed; which of the two clocks shows that depends on who stopped it.
    until: AtomicU64,
    until_uptime_ms: AtomicU64,
    /// For how long another node has not been heard, in seconds.
    stale_s: AtomicU64,
    why: Mutex<String>,
}

impl SyncState {
    /// For how long a status counts that is not confirmed.
    pub const LASTS: Duration = Duration::from_secs(5);

    /// The status of a node that knows what its journal says.
    pub(in crate::revocation) fn of(state: SyncPhase) -> Self {
        let serves = state == SyncPhase::Ready;
        Self {
            state: AtomicU8::new(state as u8),
            serves: AtomicBool::new(serves),
            until: AtomicU64::new(if serves { u64::MAX } else { 0 }),
            until_uptime_ms: AtomicU64::new(if serves { u64::MAX } else { 0 }),
            stale_s: AtomicU64::new(0),
            why: Mutex::new(String::new()),
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

    /// Takes back a status that was not confirmed for too long, before a credential is judged by it.
    pub fn check_age(&self, uptime_ms: impl Fn() -> u64) {
        let until_ms = self.until_uptime_ms.load(Ordering::Relaxed);
        if until_ms != u64::MAX && uptime_ms() > until_ms {
            self.serves.store(false, Ordering::Release);
        }
    }

    /// The state, as it was found last.
    pub fn state(&self) -> SyncPhase {
        SyncPhase::from_number(self.state.load(Ordering::Relaxed))
    }

    /// Why it is so, for people; empty, where there is nothing to say.
    pub fn why(&self) -> String {
        self.why.lock().clone()
    }

    /// For how many seconds a node has not been heard whose logouts may be missing; `None`: there is none.
    pub fn stale_s(&self) -> Option<u64> {
        (self.state() == SyncPhase::Stale).then(|| self.stale_s.load(Ordering::Relaxed))
    }

    /// What was found `now`.
    pub(crate) fn set(&self, found: SyncFinding, now: UnixTime, uptime_ms: u64) {
        let lasts_ms = u64::try_from(Self::LASTS.as_millis()).unwrap_or(u64::MAX);
        self.until_uptime_ms
            .store(uptime_ms.saturating_add(lasts_ms), Ordering::Relaxed);
        self.until
            .store(now.plus(Self::LASTS).seconds(), Ordering::Relaxed);
        self.stale_s.store(found.stale_s, Ordering::Relaxed);
        self.state.store(found.state as u8, Ordering::Relaxed);
        self.serves.store(found.serves, Ordering::Release);
        *self.why.lock() = found.why;
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
    /// For how long another node has not been heard.
    pub(crate) stale_s: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_that_nobody_confirms_is_over() {
        let now = UnixTime::from_seconds(1_000);
        let sync_state = SyncState::of(SyncPhase::Syncing);
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
        let alone = SyncState::of(SyncPhase::Ready);
        assert!(alone.serves(UnixTime::from_seconds(u64::MAX - 1)));
    }
}
