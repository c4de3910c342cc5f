//! The shop's clock against ours, learnt from the `Date` of its answers.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::clock::UnixTime;

/// How far a shop's clock is from ours.
///
/// A `Date` has whole seconds. An answer to a request sent at `sent`, received at `received` and stamped
/// `date` proves that the shop's clock is ahead by at least `date - received` and by less than
/// `date + 1 s - sent`. When both bounds allow zero, the clocks agree. Otherwise the lower bound counts: it
/// can't be too high, and a cutoff that is too high would refuse the customer's next login.
#[derive(Debug, Default)]
pub struct ShopClock {
    offset_s: AtomicI64,
    bounds: Mutex<Bounds>,
}

/// What the answers of this period and of the one before prove, in milliseconds.
#[derive(Debug, Default)]
struct Bounds {
    period: u64,
    current: Option<Range>,
    previous: Option<Range>,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    least: i64,
    most: i64,
}

/// How long an observation counts, at least; twice as long at the most.
const PERIOD_MS: u64 = 60_000;

impl ShopClock {
    /// Learns from one answer. Times are in milliseconds since the epoch, `date` in seconds.
    ///
    /// Not for answers that a cache may have kept (those with `Age`).
    pub fn observe(&self, sent_ms: u64, received_ms: u64, date: UnixTime) {
        let stamped = signed(date.seconds().saturating_mul(1000));
        let seen = Range {
            least: stamped.saturating_sub(signed(received_ms)),
            most: stamped.saturating_add(1000).saturating_sub(signed(sent_ms)),
        };
        let mut bounds = self.bounds.lock();
        bounds.turn(received_ms / PERIOD_MS);
        bounds.current = Some(bounds.current.map_or(seen, |known| known.narrowed(seen)));
        let offset_ms = bounds.offset_ms();
        self.offset_s
            .store(offset_ms.div_euclid(1000), Ordering::Relaxed);
    }

    /// Whether an answer has been seen lately enough to tell.
    pub fn is_known(&self) -> bool {
        let bounds = self.bounds.lock();
        bounds.current.or(bounds.previous).is_some()
    }

    /// How many whole seconds the shop's clock is ahead of ours; negative: behind.
    pub fn offset_s(&self) -> i64 {
        self.offset_s.load(Ordering::Relaxed)
    }

    /// What the shop's clock shows when ours shows `now`.
    pub fn at(&self, now: UnixTime) -> UnixTime {
        now.shifted(self.offset_s())
    }
}

impl Bounds {
    fn turn(&mut self, period: u64) {
        if period != self.period {
            let stale = period > self.period + 1;
            self.previous = if stale { None } else { self.current.take() };
            self.current = None;
            self.period = period;
        }
    }

    fn offset_ms(&self) -> i64 {
        let known = match (self.previous, self.current) {
            (Some(previous), Some(current)) => previous.narrowed(current),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return 0,
        };
        if known.least <= 0 && 0 < known.most {
            0
        } else {
            known.least
        }
    }
}

impl Range {
    /// What both prove; when they contradict each other a clock was set, and the newer one counts.
    fn narrowed(self, newer: Self) -> Self {
        let both = Self {
            least: self.least.max(newer.least),
            most: self.most.min(newer.most),
        };
        if both.least < both.most { both } else { newer }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shop whose clock is ahead by `ahead_ms` answers at the given moments, 5 ms after the request.
    fn learnt(ahead_ms: i64, moments_ms: &[u64]) -> i64 {
        let clock = ShopClock::default();
        for moment in moments_ms {
            let stamped = moment.saturating_add_signed(ahead_ms) / 1000;
            clock.observe(moment - 3, moment + 2, UnixTime::from_seconds(stamped));
        }
        clock.offset_s()
    }

    #[test]
    fn clocks_that_agree_have_no_offset() {
        for moment in [1_000_000_000, 1_000_000_499, 1_000_000_999] {
            assert_eq!(learnt(0, &[moment]), 0);
        }
    }

    #[test]
    fn a_skewed_shop_is_never_thought_further_ahead_than_it_is() {
        for ahead in [-90_000, -5_000, -2_500, 2_500, 7_000, 86_400_000] {
            for moment in [1_000_000_000, 1_000_000_300, 1_000_000_999] {
                let offset = learnt(ahead, &[moment, moment + 777, moment + 1_650]);
                assert!(offset * 1000 <= ahead, "{ahead}: {offset}");
                assert!(offset * 1000 > ahead - 2_100, "{ahead}: {offset}");
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_anew() {
        let clock = ShopClock::default();
        clock.observe(1_000_000, 1_000_001, UnixTime::from_seconds(1_100));
        assert!(clock.offset_s() > 90);
        clock.observe(1_002_000, 1_002_001, UnixTime::from_seconds(1_002));
        assert_eq!(clock.offset_s(), 0);
    }
}
