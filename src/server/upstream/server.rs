//! One server of a shop: its address and its state.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::busy::Busy;
use super::endpoint::Endpoint;
use super::health::{Ejection, Thresholds};
use crate::clock;
use crate::request::ServerAddress;

/// A server. It outlives a reload of the configuration, and the requests that are on their way to it.
#[derive(Debug)]
pub(crate) struct UpstreamServer {
    pub(super) endpoint: Endpoint,
    pub(super) address: ServerAddress,
    /// The key of the consistent hash; the same in every process.
    pub(super) hash_key: [u8; blake3::KEY_LEN],
    unhealthy: AtomicBool,
    /// Whether a request or a check has told anything about it yet.
    is_tried: AtomicBool,
    /// How many checks in a row contradicted `unhealthy`.
    dissent: AtomicU32,
    check_due_ms: AtomicU64,
    pub(super) being_checked: Busy,
    ejected_until_ms: AtomicU64,
    failures_in_row: AtomicU32,
    failures: AtomicU64,
    in_flight: AtomicUsize,
    /// Told whenever there may be room for another request.
    pub(super) freed: Notify,
    /// When it was last found healthy again, or appeared beside others; zero: never.
    recovered_ms: AtomicU64,
    /// How far it is ahead of its share of the requests; the smooth round-robin's.
    pub(super) credit: AtomicI64,
}

/// The share of a server that is not in its slow start, in thousandths.
pub(super) const FULL_SHARE: u32 = 1000;

/// The state of a server, for metrics and for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// The endpoint as configured, with its scheme: the same for all addresses of a name.
    pub label: String,
    /// `None`: its name has no address yet.
    pub address: Option<ServerAddress>,
    /// The result of the active checks; `true` without any.
    pub healthy: bool,
    /// Whether it is ejected because requests to it failed.
    pub ejected: bool,
    /// What the last request to it, or a check, has told.
    pub reached: Reached,
    /// Requests that are on their way to it or waiting for its answer.
    pub in_flight: usize,
    /// Requests that failed on it, since the start.
    pub failures: u64,
}

/// Whether a server was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// No request and no check has told anything of it yet.
    Never,
    /// The last request to it failed, and nothing checks it.
    NotLately,
    /// A check decides, or the last request succeeded.
    Yes,
}

impl ServerState {
    /// Its state, in one word.
    pub fn state(&self) -> &'static str {
        match self {
            Self { address: None, .. } => "unresolved",
            Self { healthy: false, .. } => "unhealthy",
            Self { ejected: true, .. } => "ejected",
            Self { reached, .. } => match reached {
                Reached::Never => "untried",
                Reached::NotLately => "failing",
                Reached::Yes => "healthy",
            },
        }
    }
}

/// Milliseconds of the monotonic clock since a moment of this process.
pub(super) fn now_ms() -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(clock::instant);
    milliseconds(clock::instant().duration_since(*BEGINNING)) + 1
}

pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl UpstreamServer {
    pub(super) fn new(endpoint: Endpoint, address: ServerAddress) -> Self {
        let hash_key = blake3::hash(format!("{endpoint} {address}").as_bytes());
        Self {
            endpoint,
            address,
            hash_key: hash_key.into(),
            unhealthy: AtomicBool::default(),
            is_tried: AtomicBool::default(),
            dissent: AtomicU32::default(),
            check_due_ms: AtomicU64::default(),
            being_checked: Busy::default(),
            ejected_until_ms: AtomicU64::default(),
            failures_in_row: AtomicU32::default(),
            failures: AtomicU64::default(),
            in_flight: AtomicUsize::default(),
            freed: Notify::new(),
            recovered_ms: AtomicU64::default(),
            credit: AtomicI64::default(),
        }
    }

    /// Whether this is the server of this endpoint with this address.
    pub(super) fn is_at(&self, endpoint: &Endpoint, address: &ServerAddress) -> bool {
        self.address == *address && self.endpoint == *endpoint
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// It has come back, or is new beside others.
    pub(super) fn note_recovery(&self, now_ms: u64) {
        self.recovered_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Its share in thousandths, which rises while it starts slowly: since it was healthy again, since its ejection ended, or
    /// since it appeared.
    pub(super) fn share(&self, slow_start: Duration, now_ms: u64) -> u32 {
        let recovered_ms = self.recovered_ms.load(Ordering::Relaxed);
        let since_ms = recovered_ms.max(self.ejected_until_ms.load(Ordering::Relaxed));
        let (passed, all) = (now_ms.saturating_sub(since_ms), milliseconds(slow_start));
        if since_ms == 0 || passed >= all {
            return FULL_SHARE;
        }
        let share = passed.saturating_mul(u64::from(FULL_SHARE)) / all.max(1);
        u32::try_from(share).unwrap_or(FULL_SHARE).max(1)
    }

    pub(super) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed)
    }

    pub(super) fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.ejected_until_ms.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn is_tried(&self) -> bool {
        self.is_tried.load(Ordering::Relaxed)
    }

    /// Whether the last request to it failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures_in_row.load(Ordering::Relaxed) > 0
    }

    /// A read is cheaper than a write, and this is written once.
    fn note_tried(&self) {
        if !self.is_tried() {
            self.is_tried.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// A request failed on it. Returns how many have in a row.
    pub(super) fn fail(&self) -> u32 {
        self.note_tried();
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failures_in_row
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// It answered a request. Returns whether the one before had failed.
    pub(super) fn succeed(&self) -> bool {
        self.note_tried();
        // Nearly every request succeeds, and a read is cheaper than a write.
        self.failures_in_row.load(Ordering::Relaxed) > 0
            && self.failures_in_row.swap(0, Ordering::Relaxed) > 0
    }

    /// Ejects it for a while. Its failures still count: after that one more ejects it again.
    pub(super) fn eject(&self, ejection: Ejection, now_ms: u64) {
        let until = now_ms.saturating_add(milliseconds(ejection.lasts));
        self.ejected_until_ms.store(until, Ordering::Relaxed);
    }

    /// Whether it is time for a check.
    pub(super) fn is_check_due(&self, now_ms: u64) -> bool {
        now_ms >= self.check_due_ms.load(Ordering::Relaxed) && !self.being_checked.is_set()
    }

    /// A check begins.
    pub(super) fn note_check(&self, interval: Duration, now_ms: u64) {
        let next = now_ms.saturating_add(milliseconds(interval));
        self.check_due_ms.store(next, Ordering::Relaxed);
    }

    /// Takes the result of a check. Returns whether the server's health changed.
    pub(super) fn observe(&self, is_well: bool, thresholds: Thresholds, now_ms: u64) -> bool {
        self.note_tried();
        if is_well != self.is_unhealthy() {
            self.dissent.store(0, Ordering::Relaxed);
            return false;
        }
        let needed = if is_well {
            thresholds.healthy_after
        } else {
            thresholds.unhealthy_after
        };
        let dissent = self.dissent.fetch_add(1, Ordering::Relaxed) + 1;
        if dissent < needed {
            return false;
        }
        self.dissent.store(0, Ordering::Relaxed);
        if is_well {
            self.note_recovery(now_ms);
        }
        self.unhealthy.store(!is_well, Ordering::Relaxed);
        true
    }
}

/// Counts one request as in flight on a server until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    server: Arc<UpstreamServer>,
    /// Whether others may wait for its end.
    is_limited: bool,
}

impl InFlightGuard {
    /// `None`: the server has as many as the limit says.
    pub(super) fn begin(server: &Arc<UpstreamServer>, limit: Option<usize>) -> Option<Self> {
        let most = limit.unwrap_or(usize::MAX);
        let more = |in_flight| (in_flight < most).then_some(in_flight + 1);
        let begun = server
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        begun.ok().map(|_| Self {
            server: Arc::clone(server),
            is_limited: limit.is_some(),
        })
    }

    /// The server.
    pub(crate) fn server(&self) -> &Arc<UpstreamServer> {
        &self.server
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Ordering::AcqRel);
        if self.is_limited {
            self.server.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> UpstreamServer {
        let endpoint = Endpoint::parse("127.0.0.1:1").unwrap();
        let address = endpoint.literal().unwrap();
        UpstreamServer::new(endpoint, address)
    }

    #[test]
    fn checks_must_agree_before_they_count() {
        let (server, thresholds) = (
            server(),
            Thresholds {
                healthy_after: 2,
                unhealthy_after: 3,
            },
        );
        for (is_well, changes, unhealthy) in [
            (false, false, false),
            (false, false, false),
            (true, false, false),
            (false, false, false),
            (false, false, false),
            (false, true, true),
            (true, false, true),
            (false, false, true),
            (true, false, true),
            (true, true, false),
        ] {
            assert_eq!(server.observe(is_well, thresholds, 1), changes);
            assert_eq!(server.is_unhealthy(), unhealthy);
        }
    }

    #[test]
    fn a_server_is_tried_once_a_request_or_a_check_told_something_of_it() {
        let once = Thresholds {
            healthy_after: 1,
            unhealthy_after: 1,
        };
        let tried = |act: &dyn Fn(&UpstreamServer)| {
            let server = server();
            assert!(!server.is_tried() && !server.is_failing());
            act(&server);
            (server.is_tried(), server.is_failing())
        };
        assert_eq!(tried(&|server| _ = server.succeed()), (true, false));
        assert_eq!(tried(&|server| _ = server.fail()), (true, true));
        let checked = tried(&|server| _ = server.observe(true, once, 1));
        assert_eq!(checked, (true, false));
    }

    #[test]
    fn a_check_that_has_not_ended_is_not_begun_again() {
        let server = server();
        let doing = server.being_checked.begin();
        server.note_check(Duration::from_secs(1), 10);
        assert!(!server.is_check_due(5000), "it is being checked");
        assert!(server.being_checked.begin().is_none());
        drop(doing);
        assert!(!server.is_check_due(1009), "too early");
        assert!(server.is_check_due(1010));
    }

    #[test]
    fn who_is_back_from_being_ejected_is_on_probation() {
        let server = server();
        let ejection = Ejection {
            after: 2,
            lasts: Duration::from_secs(1),
        };
        assert_eq!((server.fail(), server.fail()), (1, 2));
        server.eject(ejection, 100);
        assert!(server.is_ejected(1099) && !server.is_ejected(1100));
        assert!(server.fail() > ejection.after);
        assert!(server.succeed());
        assert_eq!(server.fail(), 1);
        assert_eq!(server.failures(), 4);
    }

    #[test]
    fn a_server_that_is_back_starts_slowly() {
        let server = server();
        let span = Duration::from_secs(10);
        assert_eq!(server.share(span, 5), FULL_SHARE, "it was never away");
        server.note_recovery(1_000);
        for (now_ms, share) in [(1_000, 1), (2_000, 100), (6_000, 500), (11_000, FULL_SHARE)] {
            assert_eq!(server.share(span, now_ms), share, "{now_ms}");
        }
        let ejection = Ejection {
            after: 1,
            lasts: Duration::from_secs(1),
        };
        server.eject(ejection, 20_000);
        assert_eq!(server.share(span, 22_000), 100, "since the ejection ended");
        let once = Thresholds {
            healthy_after: 1,
            unhealthy_after: 1,
        };
        assert!(server.observe(false, once, 30_000) && server.observe(true, once, 40_000));
        assert_eq!(server.share(span, 45_000), 500);
    }

    #[test]
    fn no_more_requests_are_in_flight_than_the_limit_says() {
        let server = Arc::new(server());
        let guards = [0; 3].map(|_| InFlightGuard::begin(&server, Some(2)));
        assert_eq!(guards.each_ref().map(Option::is_some), [true, true, false]);
        assert!(InFlightGuard::begin(&server, None).is_some(), "no limit");
        drop(guards);
        assert_eq!(server.in_flight(), 0);
        assert!(InFlightGuard::begin(&server, Some(1)).is_some());
    }
}
