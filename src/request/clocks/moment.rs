//! The moment of a logout, on this node's clock and on the shop's, and the cutoff that follows from it.

use std::time::Duration;

use super::server_clock::DateBounds;
use crate::clock::UnixTime;

/// A moment on our clock, and what is known of the shop's then.
#[derive(Clone, Copy, Debug)]
pub(in crate::request) struct Moment {
    pub(super) now: UnixTime,
    pub(super) latest: UnixTime,
    pub(super) offset: ShopOffset,
}

/// What is known of a shop's clock, in milliseconds ahead of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShopOffset {
    /// No answer was heard.
    Unknown,
    /// One server was heard, with one clock.
    One {
        /// The estimate of it.
        bounds: DateBounds,
        /// By how much it is ahead, at the least, if one odd answer may be among those heard.
        least: i64,
    },
    /// Several clocks were heard, which may disagree by less than a second, or by more.
    Several {
        /// The estimate of the earliest.
        bounds: DateBounds,
        /// By how much the earliest is ahead, at the least, as above.
        least: i64,
    },
    /// Every answer was further off than is believed; the estimate of the earliest.
    Disbelieved(DateBounds),
}

/// How far a clock of which no answer was heard may be behind ours: as two machines are that keep time.
pub(super) const UNKNOWN_LAG: Duration = Duration::from_secs(2);

impl Moment {
    /// On our clock.
    pub(in crate::request) fn now(self) -> UnixTime {
        self.now
    }

    /// Whether an end has passed on our clock and on the shop's.
    pub(in crate::request) fn has_passed(self, end: UnixTime) -> bool {
        let earliest = match self.offset {
            ShopOffset::Unknown | ShopOffset::Disbelieved(_) => self.now,
            ShopOffset::One { least, .. } | ShopOffset::Several { least, .. } => {
                self.ahead_by(least)
            }
        };
        end <= earliest.min(self.now)
    }

    /// The moment of a cutoff: tokens that were issued before it end. It is not later than what any clock of the shop shows, as
    /// far as that is known, so that no new login is refused.
    ///
    /// `issued_at` is when the presented token was issued: one clock of the shop has shown that second. Where no answer was
    /// heard, and that is later than our clock, the cutoff is one second later.
    pub(in crate::request) fn cutoff(self, issued_at: Option<UnixTime>) -> UnixTime {
        let later_of =
            |base: UnixTime, proven: Option<UnixTime>| proven.map_or(base, |at| at.max(base));
        let believed = issued_at.filter(|at| *at <= self.latest);
        match self.offset {
            ShopOffset::One { least, .. } => later_of(self.ahead_by(least), believed),
            ShopOffset::Several { bounds, least } => {
                // It may have been issued by one that is ahead of the others.
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
                // A token that bears out such a clock is all that there is to go by.
                let alone = proven.filter(|_| fits.is_some() && last < self.earliest_unknown());
                alone.unwrap_or_else(|| later_of(self.earliest_unknown(), proven))
            }
        }
    }

    /// The least that a clock shows of which no answer was heard.
    fn earliest_unknown(self) -> UnixTime {
        self.now.minus(UNKNOWN_LAG)
    }

    /// The second behind that one, if it proves that our clock is behind. Else that second may not be over yet.
    fn second_after(self, at: UnixTime) -> UnixTime {
        if at > self.now { at.shifted(1) } else { at }
    }

    /// What a clock shows that is so many milliseconds ahead of ours.
    fn ahead_by(self, offset_ms: i64) -> UnixTime {
        self.now.shifted(offset_ms.div_euclid(1000))
    }
}
