//! How far another machine's clock is ahead of ours, as far as answers tell: by this a stamp of that clock is a moment
//! of ours.

use std::collections::VecDeque;

/// How many milliseconds pass until two clocks may have drifted apart by one: 500 ppm, as far as NTP slews a clock.
const MS_A_MS_OF_DRIFT: u64 = 2_000;

/// How many answers the round trip is measured by.
const ROUND_TRIPS_KEPT: usize = 4;

/// A clock elsewhere that counts milliseconds and never goes back.
///
/// An answer that bears a stamp of that clock says within which bounds the difference lies: it was written after the
/// question was asked, and before the answer came. The narrowest bounds count, whatever delays came later: a queue on
/// the way makes a message old, and does not change the clocks.
#[derive(Debug, Default)]
pub(crate) struct PeerClock {
    bounds: Option<ClockBounds>,
    round_trips: VecDeque<u64>,
}

/// The clock is ahead of ours by so much, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct ClockBounds {
    at_least: ClockBound,
    at_most: ClockBound,
}

#[derive(Clone, Copy, Debug)]
struct ClockBound {
    ms: i64,
    /// When it was found, by our clock: it widens as the clocks drift apart.
    found_ms: u64,
}

impl PeerClock {
    /// A question of `asked_ms`, by our clock, was answered with this stamp; the answer came `now_ms`.
    pub(crate) fn answered(&mut self, asked_ms: u64, stamp_ms: u64, now_ms: u64) {
        if asked_ms > now_ms {
            return; // that was never asked
        }
        self.round_trips.push_back(now_ms - asked_ms);
        if self.round_trips.len() > ROUND_TRIPS_KEPT {
            self.round_trips.pop_front();
        }
        // As of the question: the clocks may have drifted since then.
        let bound = |ms| ClockBound {
            ms,
            found_ms: asked_ms,
        };
        let found = ClockBounds {
            at_least: bound(difference(stamp_ms, now_ms)),
            at_most: bound(difference(stamp_ms, asked_ms)),
        };
        let kept = self.bounds.get_or_insert(found);
        let (at_least, at_most) = (kept.at_least.by(now_ms, -1), kept.at_most.by(now_ms, 1));
        let (new_least, new_most) = (found.at_least.by(now_ms, -1), found.at_most.by(now_ms, 1));
        if new_least > at_most || new_most < at_least {
            *kept = found; // one of the two clocks has jumped, or stood still
            return;
        }
        if new_least > at_least {
            kept.at_least = found.at_least;
        }
        if new_most < at_most {
            kept.at_most = found.at_most;
        }
    }

    /// The moment of a stamp by our clock, or an earlier one, never a later one; `None`: no answer has come yet.
    pub(crate) fn no_later_than(&self, stamp_ms: u64, now_ms: u64) -> Option<u64> {
        let ahead_ms = self.bounds?.at_most.by(now_ms, 1);
        let moment_ms = stamp_ms.saturating_add_signed(ahead_ms.saturating_neg());
        Some(moment_ms.min(now_ms))
    }

    /// The moment of a stamp by our clock, as exactly as is known.
    pub(crate) fn about(&self, stamp_ms: u64, now_ms: u64) -> Option<u64> {
        let ahead_ms = self.about_ahead_ms(now_ms)?;
        let moment_ms = stamp_ms.saturating_add_signed(ahead_ms.saturating_neg());
        Some(moment_ms.min(now_ms))
    }

    /// What that clock showed at a moment of ours at least.
    pub(crate) fn showed_at_least(&self, moment_ms: u64, now_ms: u64) -> u64 {
        let ahead_ms = self.bounds.map(|bounds| bounds.at_least.by(now_ms, -1));
        moment_ms.saturating_add_signed(ahead_ms.unwrap_or_default())
    }

    /// What that clock showed at a moment of ours, as exactly as is known.
    pub(crate) fn showed_about(&self, moment_ms: u64, now_ms: u64) -> u64 {
        moment_ms.saturating_add_signed(self.about_ahead_ms(now_ms).unwrap_or_default())
    }

    /// How long a question and its answer took lately at the least, in milliseconds; `None`: nothing was answered yet.
    pub(crate) fn round_trip_ms(&self) -> Option<u64> {
        self.round_trips.iter().min().copied()
    }

    fn about_ahead_ms(&self, now_ms: u64) -> Option<i64> {
        let ClockBounds { at_least, at_most } = self.bounds?;
        let sum = i128::from(at_least.by(now_ms, -1)) + i128::from(at_most.by(now_ms, 1));
        i64::try_from(sum / 2).ok()
    }
}

impl ClockBound {
    /// Where it is by now; `way`: to which side it widens.
    fn by(self, now_ms: u64, way: i64) -> i64 {
        let drift_ms = now_ms.saturating_sub(self.found_ms) / MS_A_MS_OF_DRIFT;
        let drift_ms = i64::try_from(drift_ms).unwrap_or(i64::MAX);
        self.ms.saturating_add(drift_ms.saturating_mul(way))
    }
}

/// How far one clock is ahead of another one.
pub(crate) fn difference(there_ms: u64, here_ms: u64) -> i64 {
    let difference = i128::from(there_ms) - i128::from(here_ms);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_said_long_ago_is_old_however_late_it_comes() {
        let mut clock = PeerClock::default();
        assert_eq!(clock.no_later_than(7_000, 1_000), None);
        clock.answered(1_000, 7_010, 1_020); // 6 s ahead, there and back in 20 ms
        assert_eq!(clock.no_later_than(7_510, 9_999), Some(1_496));
        assert_eq!(clock.about(7_510, 9_999), Some(1_510));
        assert_eq!(clock.round_trip_ms(), Some(20));
        clock.answered(2_000, 8_010, 60_000); // the way back took a minute
        assert_eq!(clock.no_later_than(7_510, 60_000), Some(1_471), "it drifts");
        assert_eq!(clock.round_trip_ms(), Some(20));
    }

    #[test]
    fn a_clock_that_jumped_is_compared_anew() {
        for jumped_ms in [0, 3_600_000] {
            let mut clock = PeerClock::default();
            clock.answered(1_000_000, 5_000_000, 1_000_010);
            clock.answered(1_001_000, jumped_ms, 1_001_010);
            assert_eq!(clock.no_later_than(jumped_ms, 1_001_010), Some(1_001_000));
        }
    }

    proptest! {
        /// Whatever the delays are, nothing seems later than it was said, and it seems exact once both ways were quick.
        #[test]
        fn nothing_seems_younger_than_it_is(
            ahead_ms in 0u64..10_000_000,
            ways in proptest::collection::vec((0u64..9_000, 0u64..9_000), 1..40),
        ) {
            let mut clock = PeerClock::default();
            let mut now_ms = 1_000_000;
            let mut quickest_ms = u64::MAX;
            for (there_ms, back_ms) in ways {
                let (asked_ms, said_ms) = (now_ms, now_ms + there_ms);
                now_ms = said_ms + back_ms;
                clock.answered(asked_ms, said_ms + ahead_ms, now_ms);
                let found_ms = clock.no_later_than(said_ms + ahead_ms, now_ms).unwrap();
                prop_assert!(found_ms <= said_ms, "{found_ms} {said_ms}");
                quickest_ms = quickest_ms.min(there_ms);
                let drift_ms = now_ms / MS_A_MS_OF_DRIFT;
                prop_assert!(said_ms - found_ms <= quickest_ms + drift_ms);
                prop_assert!(clock.showed_at_least(said_ms, now_ms) <= said_ms + ahead_ms);
            }
        }

        #[test]
        fn no_stamp_is_a_surprise(answers: Vec<(u64, u64, u64)>) {
            let mut clock = PeerClock::default();
            for (asked_ms, stamp_ms, now_ms) in answers {
                clock.answered(asked_ms, stamp_ms, now_ms);
                let _ = clock.no_later_than(stamp_ms, now_ms);
                let _ = clock.about(stamp_ms, now_ms);
                let _ = clock.showed_at_least(now_ms, now_ms);
                let _ = clock.showed_about(now_ms, now_ms);
            }
        }
    }
}
