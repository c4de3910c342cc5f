//! Moments in four bytes, for there may be one a token.

use crate::clock::UnixTime;

/// A moment in whole minutes since the epoch, rounded up; the greatest is never over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minutes(u32);

impl Minutes {
    pub(super) fn rounded_up(moment: UnixTime) -> Self {
        Self(u32::try_from(moment.seconds().div_ceil(60)).unwrap_or(u32::MAX))
    }

    pub(super) const fn bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }

    pub(super) fn moment(self) -> UnixTime {
        match self.0 {
            u32::MAX => UnixTime::FOREVER,
            minutes => UnixTime::from_seconds(u64::from(minutes) * 60),
        }
    }

    /// Over, and over by the margin: the wall clock may have jumped.
    pub(super) fn are_over(self, now: UnixTime) -> bool {
        self.0 != u32::MAX && u64::from(self.0) * 60 < now.seconds()
    }
}

/// A moment in whole seconds since the epoch; the greatest (in 2106) and what is later never comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seconds(u32);

impl Seconds {
    pub(super) fn from_moment(moment: UnixTime) -> Self {
        Self(u32::try_from(moment.seconds()).unwrap_or(u32::MAX))
    }

    pub(super) fn moment(self) -> UnixTime {
        match self.0 {
            u32::MAX => UnixTime::FOREVER,
            seconds => UnixTime::from_seconds(u64::from(seconds)),
        }
    }

    pub(super) fn is_after(self, moment: UnixTime) -> bool {
        self.0 == u32::MAX || moment.seconds() < u64::from(self.0)
    }
}
