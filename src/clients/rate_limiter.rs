//! How often something may be done: so many times in a span, and some at once.
//!
//! A bucket is one number, the moment at which it is full again (the generic cell rate algorithm). A full bucket is like a new
//! one, and only such a bucket is ever forgotten: to make up names resets no limit.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::network::ClientNetwork;

/// So many times in a span, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    interval_ns: u64,
    burst: u32,
}

/// In how many seconds it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

impl Rate {
    /// So many times in a span. None of them is 0.
    pub fn new(times: u32, span: Duration, burst: u32) -> Self {
        let interval_ns = nanoseconds(span) / u64::from(times.max(1));
        Self {
            interval_ns: interval_ns.max(1),
            burst: burst.max(1),
        }
    }

    /// How long an empty bucket takes to be full.
    const fn span_ns(self) -> u64 {
        self.interval_ns.saturating_mul(self.burst as u64)
    }

    /// Takes one from a bucket that is full at `full_ns`. Returns when it is full after that.
    fn take(self, full_ns: u64, now_ns: u64) -> Result<u64, RetryAfter> {
        // A bucket that several limits share may have been emptied by a slower one.
        let begin = full_ns.clamp(now_ns, now_ns.saturating_add(self.span_ns()));
        let full = begin.saturating_add(self.interval_ns);
        let over = full.saturating_sub(now_ns.saturating_add(self.span_ns()));
        if over == 0 {
            return Ok(full);
        }
        let seconds = over.div_ceil(1_000_000_000);
        Err(RetryAfter(u32::try_from(seconds).unwrap_or(u32::MAX)))
    }
}

/// As `check` lists it: `10/s (burst 20)`, in the shortest span that it is a whole number of.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: (&str, u64) = ("h", 3_600_000_000_000);
        let spans = [("s", 1_000_000_000), ("m", 60_000_000_000), HOUR];
        let times = |span: u64| span / self.interval_ns;
        let is_whole = |span: u64| span.checked_div(times(span)) == Some(self.interval_ns);
        let found = spans.into_iter().find(|(_, span)| is_whole(*span));
        let (unit, span) = found.unwrap_or(HOUR);
        write!(f, "{}/{unit} (burst {})", times(span), self.burst)
    }
}

/// How many parts the buckets are in, each with a lock.
const SHARDS: u8 = 16;

/// How many buckets a part has: some 200,000 in all, which take eight megabytes.
const BUCKETS_MAX: usize = 12_500;

/// How many buckets the clients share whose own has no place any more.
const SHARED: usize = 1 << 16;

/// How long a part that has no place is not searched for full buckets again.
const SEARCH_PAUSE_NS: u64 = 100_000_000;

/// The buckets of all limits. Their names are hashed with a secret of the process, and are not kept.
pub struct RateLimiter {
    secret: RandomState,
    shards: Vec<Mutex<Shard>>,
    shared: Mutex<Vec<u64>>,
}

#[derive(Default)]
struct Shard {
    /// By the hash of its name, when a bucket is full.
    full_ns: HashMap<u64, u64>,
    /// At how many it is searched for full buckets.
    search_at: usize,
    searched_ns: u64,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self {
            secret: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shared: Mutex::new(Vec::new()),
        }
    }
}

impl RateLimiter {
    /// Takes one from the bucket of this name. Where there is no place for it, its client's network has a bucket that other
    /// clients may share.
    pub fn admit(
        &self,
        rate: Rate,
        name: &impl Hash,
        client: IpAddr,
        now: Duration,
    ) -> Result<(), RetryAfter> {
        if let Some(admitted) = self.admit_own(rate, name, now) {
            return admitted;
        }
        let network = ClientNetwork::containing(client);
        let [first, second, ..] = self.secret.hash_one((rate, network)).to_le_bytes();
        let mut shared = self.shared.lock();
        shared.resize(SHARED, 0);
        let place = usize::from(u16::from_le_bytes([first, second]));
        let full = &mut shared[place];
        *full = rate.take(*full, nanoseconds(now))?;
        Ok(())
    }

    /// Takes one from the bucket of this name, which no other name shares. `None`: there is no place for it.
    pub fn admit_own(
        &self,
        rate: Rate,
        name: &impl Hash,
        now: Duration,
    ) -> Option<Result<(), RetryAfter>> {
        let name = self.secret.hash_one(name);
        let [first, ..] = name.to_le_bytes();
        let shard = &self.shards[usize::from(first % SHARDS)];
        shard.lock().admit(rate, name, nanoseconds(now))
    }
}

impl Shard {
    /// `None`: there is no place for another bucket.
    fn admit(&mut self, rate: Rate, name: u64, now_ns: u64) -> Option<Result<(), RetryAfter>> {
        let known = self.full_ns.get(&name).copied();
        if known.is_none() && !self.has_place(now_ns) {
            return None;
        }
        let taken = rate.take(known.unwrap_or_default(), now_ns);
        if let Ok(full) = taken {
            self.full_ns.insert(name, full);
        }
        Some(taken.map(|_| ()))
    }

    fn has_place(&mut self, now_ns: u64) -> bool {
        const FIRST_SEARCH: usize = 1_000;
        let is_rested = now_ns.saturating_sub(self.searched_ns) >= SEARCH_PAUSE_NS;
        let count = self.full_ns.len();
        if count >= self.search_at.clamp(FIRST_SEARCH, BUCKETS_MAX) && is_rested {
            self.full_ns.retain(|_, full| *full > now_ns);
            self.search_at = 2 * self.full_ns.len();
            self.searched_ns = now_ns;
        }
        self.full_ns.len() < BUCKETS_MAX
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const HOUR: Duration = Duration::from_hours(1);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(1_000_000 + count)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = RateLimiter::default();
        let rate = Rate::new(10, Duration::from_secs(1), 3);
        let at = |count| limiter.admit(rate, &"a", CLIENT, ms(count));
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(RetryAfter(1)));
        assert_eq!(at(99), Err(RetryAfter(1)));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(100), Err(RetryAfter(1)));
        assert_eq!(limiter.admit(rate, &"b", CLIENT, ms(100)), Ok(()));
        assert_eq!([at(10_000), at(10_000), at(10_000)], [Ok(()); 3]);
        let slow = Rate::new(1, HOUR, 1);
        assert_eq!(limiter.admit(slow, &"c", CLIENT, ms(0)), Ok(()));
        assert_eq!(
            limiter.admit(slow, &"c", CLIENT, ms(0)),
            Err(RetryAfter(3600))
        );
    }

    /// A flood of names takes no more memory, and gives no client a new bucket.
    #[test]
    fn made_up_names_are_bounded_and_reset_no_limit() {
        let limiter = RateLimiter::default();
        let rate = Rate::new(1, HOUR, 1);
        assert_eq!(limiter.admit(rate, &"used up", CLIENT, ms(0)), Ok(()));
        let other: IpAddr = "198.51.100.1".parse().unwrap();
        let names = 0..usize::from(SHARDS) * BUCKETS_MAX * 2;
        let admitted = names.filter(|name| limiter.admit(rate, name, other, ms(1)).is_ok());
        assert!(admitted.count() <= usize::from(SHARDS) * BUCKETS_MAX + 1);
        let held = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().full_ns.len());
        assert_eq!(held.sum::<usize>(), usize::from(SHARDS) * BUCKETS_MAX);
        assert!(limiter.admit(rate, &"used up", CLIENT, ms(2)).is_err());
        assert!(
            limiter.admit(rate, &"new", other, ms(2)).is_err(),
            "one bucket for the flood"
        );
        assert_eq!(
            limiter.admit(rate, &"new", CLIENT, ms(2)),
            Ok(()),
            "others have theirs"
        );
        assert_eq!(
            limiter.admit(rate, &"used up", CLIENT, HOUR + ms(1)),
            Ok(())
        );
    }

    proptest! {
        #[test]
        fn no_span_has_more_than_the_rate_and_the_burst(
            times in 1..50u32,
            burst in 1..20u32,
            waits in prop::collection::vec(0..200u64, 1..200),
        ) {
            let rate = Rate::new(times, Duration::from_secs(1), burst);
            let (limiter, mut now) = (RateLimiter::default(), 0);
            let mut admitted: Vec<u64> = Vec::new();
            for wait in waits {
                now += wait;
                if limiter.admit(rate, &"a", CLIENT, ms(now)).is_ok() {
                    admitted.push(now);
                }
            }
            for (at, first) in admitted.iter().enumerate() {
                for (more, last) in admitted[at..].iter().enumerate() {
                    let most = u64::from(burst) + (last - first) * u64::from(times) / 1_000 + 1;
                    prop_assert!((more as u64) < most);
                }
            }
        }
    }
}
