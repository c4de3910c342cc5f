//! The buckets of every limit, and which limits were logged lately. A reload keeps them.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clients::{Rate, RateLimiter, RetryAfter};
use crate::clock;
use crate::log_limit::LogLimit;

/// How long a limit that is reached is not logged again.
const SILENCE: Duration = Duration::from_secs(10);

/// How many limits are logged in that time.
const LOGGED_MAX: usize = 256;

/// The buckets of every limit, and which limits were logged lately.
pub(crate) struct RateLimits {
    limiter: RateLimiter,
    /// By the shop, and the route or the key of the limit.
    logged: Mutex<LogLimit<(String, String)>>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            limiter: RateLimiter::default(),
            logged: Mutex::new(LogLimit::new(SILENCE, LOGGED_MAX)),
        }
    }
}

/// The name of a bucket: a limit that changes has new ones.
#[derive(Hash)]
pub(crate) struct BucketName<'a, K> {
    pub(crate) shop: &'a str,
    /// The route, or the key of the limit.
    pub(crate) limit: &'a str,
    pub(crate) rate: Rate,
    pub(crate) by: K,
}

impl RateLimits {
    /// Takes one from a bucket of this client, or of what it sent.
    pub(crate) fn admit<K: Hash>(
        &self,
        bucket: &BucketName<'_, K>,
        client: IpAddr,
    ) -> Result<(), RetryAfter> {
        self.limiter.admit(bucket.rate, bucket, client, now())
    }

    /// The same of a bucket that no other client may ever share: without a place for it, there is no limit.
    pub(crate) fn admit_alone<K: Hash>(
        &self,
        bucket: &BucketName<'_, K>,
    ) -> Result<(), RetryAfter> {
        let admitted = self.limiter.admit_own(bucket.rate, bucket, now());
        admitted.unwrap_or(Ok(()))
    }

    /// Whether a limit that is reached is to be logged now.
    pub(crate) fn is_log_due(&self, shop: &str, limit: String) -> bool {
        let thing = (shop.to_owned(), limit);
        self.logged.lock().is_due(thing, clock::uptime_ms())
    }
}

fn now() -> Duration {
    Duration::from_millis(clock::uptime_ms())
}
