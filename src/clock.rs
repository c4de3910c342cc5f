//! The only place that asks what time it is.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment in whole seconds since 1970-01-01T00:00:00Z (`NumericDate`, RFC 7519 section 2).
///
/// Arithmetic saturates: there is no moment before the epoch and none after [`UnixTime::FOREVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The first moment.
    pub const EPOCH: Self = Self(0);
    /// The moment that never comes: what is kept until then is never dropped.
    pub const FOREVER: Self = Self(u64::MAX);

    /// The moment `seconds` after the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The moment that many whole seconds later; `FOREVER` stays `FOREVER`.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// The moment that many whole seconds earlier; `FOREVER` stays `FOREVER`.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        if self.0 == u64::MAX {
            return self;
        }
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// The moment `seconds` later, or earlier when negative.
    #[must_use]
    pub const fn shifted(self, seconds: i64) -> Self {
        Self(self.0.saturating_add_signed(seconds))
    }

    /// How long it is from `earlier` until this moment; zero when it is past.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// 9999-12-31T23:59:59Z, the last second that a date of four digits can say.
        const LAST_DATE: u64 = 253_402_300_799;
        match self.0 {
            u64::MAX => f.write_str("forever"),
            seconds if seconds > LAST_DATE => write!(f, "@{seconds}"),
            seconds => {
                let moment = UNIX_EPOCH + Duration::from_secs(seconds);
                write!(f, "{}", humantime::format_rfc3339_seconds(moment))
            }
        }
    }
}

/// What time it is now, on this machine's wall clock.
pub fn now() -> UnixTime {
    UnixTime::from_seconds(since_epoch().as_secs())
}

/// How long this machine has been running, the time that it slept included, in milliseconds.
pub fn uptime_ms() -> u64 {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let milliseconds = uptime.tv_sec * 1_000 + uptime.tv_nsec / 1_000_000;
    u64::try_from(milliseconds).unwrap_or_default()
}

/// What time it is now in milliseconds since the epoch: for comparing clocks, never for judging.
pub fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// A reading of the monotonic clock: for measuring how long something took.
#[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
pub fn instant() -> Instant {
    Instant::now()
}

/// A machine whose clock stands before 1970 is at the epoch for us.
#[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forever_never_moves() {
        assert_eq!(
            UnixTime::FOREVER.plus(Duration::from_secs(1)),
            UnixTime::FOREVER
        );
        assert_eq!(
            UnixTime::FOREVER.minus(Duration::from_secs(1)),
            UnixTime::FOREVER
        );
    }

    #[test]
    fn a_moment_reads_as_a_date() {
        assert_eq!(
            UnixTime::from_seconds(1_790_000_000).to_string(),
            "2026-09-21T14:13:20Z"
        );
        assert_eq!(UnixTime::FOREVER.to_string(), "forever");
    }
}
