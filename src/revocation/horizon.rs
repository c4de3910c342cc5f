//! Up to which moment what has ended may be dropped: never further because a clock is wrong.

use std::time::{Duration, Instant};

use crate::clock::UnixTime;

/// A step of the wall clock that is more than the drift of a second.
const STEP_MIN: Duration = Duration::from_secs(2);

/// What has no window is few and ends rarely; all of it is read.
const UNDATED_EVERY: Duration = Duration::from_mins(10);

/// The wall clock as far as the monotonic one agrees.
pub(super) struct DropHorizon {
    grace: Duration,
    started: Instant,
    started_at: UnixTime,
    last: Instant,
    last_at: UnixTime,
    undated_read: Instant,
}

/// What a second has brought.
pub(super) struct Step {
    /// The wall clock was set back.
    pub(super) is_set_back: bool,
    /// What ended before this moment may be dropped.
    pub(super) horizon: UnixTime,
    /// It is time to read what has no window.
    pub(super) reads_undated: bool,
}

impl DropHorizon {
    /// At a start. Nothing is dropped within `grace`.
    pub(super) fn from(now: UnixTime, instant: Instant, grace: Duration) -> Self {
        Self {
            grace,
            started: instant,
            started_at: now,
            last: instant,
            last_at: now,
            undated_read: instant,
        }
    }

    /// Looks at both clocks. To be called about once a second.
    pub(super) fn step(&mut self, now: UnixTime, instant: Instant) -> Step {
        let real = instant.duration_since(self.last);
        let shown = now.since(self.last_at);
        self.last = instant;
        self.last_at = now;
        let reads_undated = instant.duration_since(self.undated_read) >= UNDATED_EVERY;
        if reads_undated {
            self.undated_read = instant;
        }
        Step {
            is_set_back: real > shown + STEP_MIN,
            horizon: self.at(now, instant),
            reads_undated,
        }
    }

    /// What ended before this moment may be dropped.
    ///
    /// Nothing is dropped because the wall clock jumped ahead: it counts only as far as the monotonic one
    /// agrees, and not at all in the first hour (the grace), for it may have been wrong when we started.
    fn at(&self, now: UnixTime, instant: Instant) -> UnixTime {
        let running = instant.duration_since(self.started);
        if running < self.grace {
            return UnixTime::EPOCH;
        }
        // Both clocks count whole seconds; what is over by one of them is over by the other a moment later.
        now.min(self.started_at.plus(running)).plus(STEP_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::MARGIN;
    use super::*;
    use crate::clock;

    #[test]
    fn a_wall_clock_that_jumps_drops_nothing() {
        let start = clock::instant();
        let started_at = UnixTime::from_seconds(1_000_000);
        let horizon = DropHorizon::from(started_at, start, MARGIN);
        let year_ahead = UnixTime::from_seconds(32_000_000);
        let in_two_hours = start + Duration::from_hours(2);
        assert_eq!(horizon.at(year_ahead, start), UnixTime::EPOCH);
        assert_eq!(
            horizon.at(year_ahead, in_two_hours),
            UnixTime::from_seconds(1_007_202)
        );
    }
}
