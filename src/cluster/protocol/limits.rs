//! Limits on what another node may revoke: it can revoke too much, but not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counters::ExchangeCounters;
use crate::clock::UnixTime;
use crate::revocation::{MARGIN, Revocation, Window};

/// How far a cutoff may lie ahead of our clock: it is taken on the shop's clock, and a stolen key must not lock
/// everybody out for ever.
const AHEAD_MAX: Duration = Duration::from_mins(10);

/// The caps on what comes from others.
pub(crate) struct RowLimits {
    /// How long anything needs to be kept, in seconds; the greatest number: for ever.
    kept_s: AtomicU64,
    exchanged: Arc<ExchangeCounters>,
}

impl RowLimits {
    /// Without a cap on how long things are kept.
    pub(crate) fn new(exchanged: Arc<ExchangeCounters>) -> Self {
        Self {
            kept_s: AtomicU64::new(u64::MAX),
            exchanged,
        }
    }

    /// Nothing needs to be kept longer than that; `None`: tokens of some shop live for ever.
    pub(crate) fn keep_at_most(&self, longest: Option<Duration>) {
        let seconds = longest.map_or(u64::MAX, |longest| longest.as_secs());
        self.kept_s.store(seconds, Ordering::Relaxed);
    }

    /// Until when something is kept that a node wants kept until then.
    pub(crate) fn until(&self, until: UnixTime, now: UnixTime) -> UnixTime {
        let kept = Duration::from_secs(self.kept_s.load(Ordering::Relaxed));
        until.min(now.plus(kept))
    }

    /// What may be taken from another node of that.
    pub(crate) fn limit_row(&self, revocation: Revocation, now: UnixTime) -> Revocation {
        let capped = match revocation {
            Revocation::Token {
                id,
                window,
                until,
                source,
            } => Revocation::Token {
                id,
                window,
                until: until.min(self.until(until, now).max(end_of(window))),
                source,
            },
            Revocation::Cutoff {
                id,
                not_before,
                until,
            } => Revocation::Cutoff {
                id,
                not_before: not_before.min(now.plus(AHEAD_MAX)),
                until: self.until(until, now),
            },
            Revocation::Date {
                id,
                kind,
                at_ms,
                until,
            } => Revocation::Date {
                id,
                kind,
                at_ms: at_ms.min(now.plus(AHEAD_MAX).seconds().saturating_mul(1_000)),
                until: self.until(until, now),
            },
        };
        if capped != revocation {
            self.exchanged.capped.fetch_add(1, Ordering::Relaxed);
        }
        capped
    }
}

/// A token that expires late is dead that long, whatever is said of tokens in general.
fn end_of(window: Window) -> UnixTime {
    match window {
        Window::UNDATED => UnixTime::EPOCH,
        window => window.end().plus(2 * MARGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{Id, Source};

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    fn limits() -> RowLimits {
        let limits = RowLimits::new(Arc::default());
        limits.keep_at_most(Some(Duration::from_hours(24)));
        limits
    }

    #[test]
    fn nothing_is_kept_longer_than_any_token_lives() {
        let limits = limits();
        let day = NOW.plus(Duration::from_hours(24));
        let undated = |until| Revocation::Token {
            id: Id::from_bytes([1; 16]),
            window: Window::UNDATED,
            until,
            source: Source::Verified,
        };
        assert_eq!(
            limits.limit_row(undated(UnixTime::FOREVER), NOW),
            undated(day)
        );
        assert_eq!(limits.limit_row(undated(NOW), NOW), undated(NOW));
        let end = NOW.plus(Duration::from_hours(100));
        let late = Revocation::Token {
            id: Id::from_bytes([1; 16]),
            window: Window::of(Some(end)),
            until: end.plus(MARGIN),
            source: Source::Verified,
        };
        assert_eq!(limits.limit_row(late, NOW), late, "it lives that long");
    }

    #[test]
    fn no_cutoff_reaches_into_the_future() {
        let cutoff = |not_before, until| Revocation::Cutoff {
            id: Id::of_token_domain("main"),
            not_before,
            until,
        };
        let (soon, day) = (NOW.plus(AHEAD_MAX), NOW.plus(Duration::from_hours(24)));
        let rogue = cutoff(UnixTime::FOREVER, UnixTime::FOREVER);
        assert_eq!(limits().limit_row(rogue, NOW), cutoff(soon, day));
        assert_eq!(limits().limit_row(cutoff(NOW, day), NOW), cutoff(NOW, day));
    }
}
