//! The moment of a logout, on this node's clock and on the shop's, and the cutoff that follows from it.

use std::time::Duration;

use super::server_clock::DateBounds;
use crate::clock::UnixTime;

/// A moment on our clock, and what is known of the shop's clocks at that moment.
#[derive(Clone, Copy, Debug)]
pub(in crate::request) struct Moment {
    pub(super) now: UnixTime,
    pub(super) latest: UnixTime,
    pub(super) offset: ShopOffset,
}

/// What is known of a shop's clocks, in milliseconds ahead of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShopOffset {
    /// No answer was received.
    Unknown,
    /// One server answered, with one clock.
    One {
        /// The estimate of it.
        bounds: DateBounds,
        /// The least that it is ahead, even if one answer is an outlier.
        least: i64,
    },
    /// Several clocks answered, which may disagree.
    Several {
        /// The estimate of the earliest.
        bounds: DateBounds,
        /// The least that the earliest is ahead, even if one answer is an outlier.
        least: i64,
    },
    /// All clocks are off by more than the limit; the estimate of the earliest.
    Disbelieved(DateBounds),
}

/// How far an unknown clock may be behind ours, if both machines keep time.
pub(super) const UNKNOWN_LAG: Duration = Duration::from_secs(2);

impl Moment {
    /// The moment on our clock.
    pub(in crate::request) fn now(self) -> UnixTime {
        self.now
    }

    /// Whether an end has passed both on our clock and on the shop's.
    pub(in crate::request) fn has_passed(self, end: UnixTime) -> bool {
        let earliest = match self.offset {
            ShopOffset::Unknown | ShopOffset::Disbelieved(_) => self.now,
            ShopOffset::One { least, .. } | ShopOffset::Several { least, .. } => {
                self.ahead_by(least)
            }
        };
        end <= earliest.min(self.now)
    }

    /// The moment of a cutoff, which revokes tokens that were issued before it. It is not later than what any clock of the shop
    /// shows, as far as that is known, so that no new login is refused.
    ///
    /// `issued_at` is when the presented token was issued: one clock of the shop has shown that second. If no clock is known
    /// and that second is later than our clock, the cutoff is one second later than it.
    pub(in crate::request) fn cutoff(self, issued_at: Option<UnixTime>) -> UnixTime {
        let later_of =
            |base: UnixTime, proven: Option<UnixTime>| proven.map_or(base, |at| at.max(base));
        let believed = issued_at.filter(|at| *at <= self.latest);
        match self.offset {
            ShopOffset::One { least, .. } => later_of(self.ahead_by(least), believed),
            ShopOffset::Several { bounds, least } => {
                // The server that issued it may be ahead of the others.
                let limit = self.ahead_by(bounds.least);
                later_of(self.ahead_by(least), issued_at.map(|at| at.min(limit)))
            }
            ShopOffset::Unknown => later_of(
                self.earliest_unknown(),
                believed.map(|at| self.second_after(at)),
            ),
            ShopOffset::Disbelieved(bounds) => {
                let [first, last] = [bounds.least, bounds.most].map(|offset| self.ahead_by(offset));
                let is_now = |at: UnixTime| (first..=last).contains(&at);
                let fits = issued_at.filter(|at| *at <= last);
                let proven = fits.or(believed);
                let proven = proven.map(|at| {
                    if is_now(at) {
                        at
                    } else {
                        self.second_after(at)
                    }
                });
                // A token that agrees with such a clock is the only evidence.
                let alone = proven.filter(|_| fits.is_some() && last < self.earliest_unknown());
                alone.unwrap_or_else(|| later_of(self.earliest_unknown(), proven))
            }
        }
    }

    /// The earliest time that an unknown clock may show.
    fn earliest_unknown(self) -> UnixTime {
        self.now.minus(UNKNOWN_LAG)
    }

    /// The second after that one, if it proves that our clock is behind; else that second, which may not be over yet.
    fn second_after(self, at: UnixTime) -> UnixTime {
        if at > self.now { at.shifted(1) } else { at }
    }

    /// What a clock shows that is so many milliseconds ahead of ours.
    fn ahead_by(self, offset_ms: i64) -> UnixTime {
        self.now.shifted(offset_ms.div_euclid(1000))
    }
}
