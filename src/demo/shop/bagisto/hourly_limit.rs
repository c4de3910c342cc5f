//! How many requests a client key has left in this hour.

use parking_lot::Mutex;

use crate::demo::shop::mint::PretendClock;
use crate::demo::shop::wire::ShopAnswer;

/// More than any story sends; the real limit is the operator's.
const REQUESTS: u64 = 1000;
const HOUR_S: i64 = 3600;

/// Counts by the hour of the clock, as the code does.
#[derive(Default)]
pub(super) struct HourlyLimit(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    hour: i64,
    requests: u64,
}

impl HourlyLimit {
    /// Counts one request and says what it leaves. `X-RateLimit-Reset` is the seconds that the hour still has.
    pub(super) fn count(&self, clock: &PretendClock, answer: ShopAnswer) -> ShopAnswer {
        let now = clock.now();
        let mut spent = self.0.lock();
        if spent.hour != now / HOUR_S {
            *spent = Spent {
                hour: now / HOUR_S,
                requests: 0,
            };
        }
        spent.requests += 1;
        let left = REQUESTS.saturating_sub(spent.requests);
        answer
            .with("X-RateLimit-Limit", REQUESTS.to_string())
            .with("X-RateLimit-Remaining", left.to_string())
            .with("X-RateLimit-Reset", seconds_left(now).to_string())
    }
}

/// Of the hour.
pub(super) fn seconds_left(now: i64) -> i64 {
    HOUR_S - now.rem_euclid(HOUR_S)
}
