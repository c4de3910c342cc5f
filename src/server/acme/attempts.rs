//! When something is ordered: a third of its life before a certificate ends, and never soon after a failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;

/// After the first failure of a name. Authorities limit failures to a handful an hour.
const NAME_WAIT: Duration = Duration::from_hours(1);
/// However often a name has failed.
const NAME_WAIT_MAX: Duration = Duration::from_hours(24);
/// After the first time that the authority could not be asked at all: nothing was ordered.
const AUTHORITY_WAIT: Duration = Duration::from_mins(1);
/// However often that has happened.
const AUTHORITY_WAIT_MAX: Duration = Duration::from_hours(1);
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24 * 7);

/// The attempts that failed since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    failures: u32,
    /// Seconds since the epoch.
    retry_at: u64,
}

/// What an attempt was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// An order for a name.
    Order,
    /// Asking the authority at all.
    Contact,
}

impl Attempts {
    /// Whether there may be another one.
    pub(super) fn allow(self, now: UnixTime) -> bool {
        self.retry_at() <= now
    }

    /// From when on there may be another one.
    pub(super) fn retry_at(self) -> UnixTime {
        UnixTime::from_seconds(self.retry_at)
    }

    /// After another failure; the authority may have said how long to wait.
    pub(super) fn failed(self, what: Attempt, now: UnixTime, told: Option<UnixTime>) -> Self {
        let (first, longest) = match what {
            Attempt::Order => (NAME_WAIT, NAME_WAIT_MAX),
            Attempt::Contact => (AUTHORITY_WAIT, AUTHORITY_WAIT_MAX),
        };
        let doubled = first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let own = now.plus(doubled.clamp(first, longest));
        let told = told.map_or(own, |told| told.min(now.plus(RETRY_AFTER_MAX)));
        Self {
            failures: self.failures.saturating_add(1),
            retry_at: own.max(told).seconds(),
        }
    }

    /// The authority asks for a longer wait.
    pub(super) fn put_off(self, now: UnixTime, told: UnixTime) -> Self {
        let told = told.min(now.plus(RETRY_AFTER_MAX)).seconds();
        Self {
            failures: self.failures,
            retry_at: self.retry_at.max(told),
        }
    }

    /// After an attempt that was broken off because the process stops: it is neither a success nor a failure.
    pub(super) fn broken_off(self, now: UnixTime) -> Self {
        Self {
            failures: self.failures,
            retry_at: now.plus(AUTHORITY_WAIT).seconds(),
        }
    }
}

/// When a certificate is renewed: a third of its life before its end, and up to a thirtieth of it earlier, so that
/// certificates of one day are not renewed in one minute. `seed` is something of the certificate.
pub(super) fn renewal_at(not_before: UnixTime, not_after: UnixTime, seed: &[u8]) -> UnixTime {
    let life = not_after.since(not_before);
    let [first, ..] = *blake3::hash(seed).as_bytes();
    let jitter = life / 30 * u32::from(first) / 255;
    not_after.minus(life / 3 + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);
    const HOUR: u64 = 3_600;

    #[test]
    fn each_failure_doubles_the_wait_from_an_hour_to_a_day() {
        let mut attempts = Attempts::default();
        assert!(attempts.allow(NOW));
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            attempts = attempts.failed(Attempt::Order, NOW, None);
            assert_eq!(attempts.retry_at().since(NOW).as_secs(), hours * HOUR);
        }
    }

    #[test]
    fn the_authority_may_ask_for_a_longer_wait_and_for_no_shorter_one() {
        for (told, waits) in [
            (HOUR / 2, HOUR),
            (3 * HOUR, 3 * HOUR),
            (u64::MAX, 168 * HOUR),
        ] {
            let told = NOW.plus(Duration::from_secs(told));
            let attempts = Attempts::default().failed(Attempt::Order, NOW, Some(told));
            assert_eq!(attempts.retry_at().since(NOW).as_secs(), waits);
        }
    }

    proptest! {
        #[test]
        fn no_name_is_ordered_within_an_hour_of_a_failure(failures in 0_u32..100, told in proptest::option::of(0_u64..u64::MAX)) {
            let mut attempts = Attempts::default();
            for _ in 0..=failures {
                attempts = attempts.failed(Attempt::Order, NOW, told.map(UnixTime::from_seconds));
            }
            prop_assert!(!attempts.allow(NOW.plus(Duration::from_secs(HOUR - 1))));
            prop_assert!(attempts.allow(NOW.plus(RETRY_AFTER_MAX)));
        }

        #[test]
        fn a_certificate_is_renewed_in_the_last_third_of_its_life_or_shortly_before(life in 0_u64..1 << 32, seed: [u8; 8]) {
            let end = NOW.plus(Duration::from_secs(life));
            let left = end.since(renewal_at(NOW, end, &seed)).as_secs();
            prop_assert!(left >= life / 3 && left <= life / 3 + life / 30 + 1);
        }
    }
}
