//! Whether any token was accepted yet, and why those before the first were not: a wrong key refuses everybody, and says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// What became of tokens until the first was accepted. From then on nothing is counted, and noting costs one load.
#[derive(Debug, Default)]
pub struct FirstSuccess {
    has_succeeded: AtomicBool,
    failures: Mutex<NoneAccepted>,
    /// Uptime in milliseconds when it was last logged that none was accepted; 0: not yet.
    told_at: AtomicU64,
}

/// Tokens came, and none was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoneAccepted {
    /// How many failed, by reason.
    failed: BTreeMap<&'static str, u64>,
    /// How many of them failed for a reason that the configuration can cause.
    telling: u64,
}

/// How much a failure says about the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureWeight {
    /// The key, the issuer, the algorithm or the like may be configured wrongly.
    Telling,
    /// Customers bring such tokens at every shop: expired, truncated, or none.
    Usual,
}

/// Whether a token was accepted; else why not.
pub(in crate::request) type Acceptance = Result<(), (&'static str, FailureWeight)>;

/// So many usual failures without a success are no chance any more.
const USUAL_MIN: u64 = 10;

/// How long a log line is not repeated.
const REPEATED_AFTER_MS: u64 = 3_600_000;

/// What to log about tokens none of which was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuccessNews {
    /// None has been accepted yet.
    None(NoneAccepted),
    /// The first was accepted, after it was logged that none was.
    First,
}

impl FirstSuccess {
    /// A token was accepted.
    pub(in crate::request) fn note_success(&self) {
        if !self.has_succeeded.load(Ordering::Relaxed) {
            self.has_succeeded.store(true, Ordering::Relaxed);
            *self.failures.lock() = NoneAccepted::default();
        }
    }

    /// A token was not accepted, for this reason.
    pub(in crate::request) fn note_failure(&self, reason: &'static str, weight: FailureWeight) {
        if self.has_succeeded.load(Ordering::Relaxed) {
            return;
        }
        let mut failures = self.failures.lock();
        *failures.failed.entry(reason).or_default() += 1;
        failures.telling += u64::from(weight == FailureWeight::Telling);
    }

    /// A token was accepted or not.
    pub(in crate::request) fn note(&self, acceptance: Acceptance) {
        match acceptance {
            Ok(()) => self.note_success(),
            Err((reason, weight)) => self.note_failure(reason, weight),
        }
    }

    /// The failures, if tokens came, none was accepted, and that is no chance.
    pub fn none_accepted(&self) -> Option<NoneAccepted> {
        if self.has_succeeded.load(Ordering::Relaxed) {
            return None;
        }
        let failures = self.failures.lock();
        failures.is_remarkable().then(|| failures.clone())
    }

    /// What is to be logged now, at this uptime: at once, then every hour until the first success.
    pub fn news(&self, now_ms: u64) -> Option<SuccessNews> {
        let told_at = self.told_at.load(Ordering::Relaxed);
        let Some(none) = self.none_accepted() else {
            let is_first = told_at != 0 && self.has_succeeded.load(Ordering::Relaxed);
            return is_first.then(|| {
                self.told_at.store(0, Ordering::Relaxed);
                SuccessNews::First
            });
        };
        let is_due = told_at == 0 || now_ms.saturating_sub(told_at) >= REPEATED_AFTER_MS;
        is_due.then(|| {
            self.told_at.store(now_ms.max(1), Ordering::Relaxed);
            SuccessNews::None(none)
        })
    }
}

impl NoneAccepted {
    fn is_remarkable(&self) -> bool {
        self.telling > 0 || self.total() >= USUAL_MIN
    }

    /// How many failed in all.
    pub fn total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// How many failed, by reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.failed.iter().map(|(reason, count)| (*reason, *count))
    }
}

/// The most frequent reason first: "412 failed with `signature`, 3 with `type`".
impl fmt::Display for NoneAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failed: Vec<_> = self.by_reason().collect();
        failed.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (place, (reason, count)) in failed.into_iter().enumerate() {
            if place == 0 {
                write!(f, "{count} failed with `{reason}`")?;
            } else {
                write!(f, ", {count} with `{reason}`")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_telling_failure_is_news_at_once_hourly_and_until_the_first_success() {
        let record = FirstSuccess::default();
        assert_eq!(record.news(5), None);
        record.note_failure("signature", FailureWeight::Telling);
        record.note_failure("type", FailureWeight::Telling);
        record.note_failure("signature", FailureWeight::Telling);
        let Some(SuccessNews::None(none)) = record.news(5) else {
            panic!("nothing is said");
        };
        assert_eq!(none.to_string(), "2 failed with `signature`, 1 with `type`");
        assert_eq!(none.total(), 3);
        assert_eq!(record.news(5 + REPEATED_AFTER_MS - 1), None);
        assert!(record.news(5 + REPEATED_AFTER_MS).is_some());
        record.note_success();
        assert_eq!(record.none_accepted(), None);
        assert_eq!(record.news(9), Some(SuccessNews::First));
        assert_eq!(record.news(9), None);
        record.note_failure("signature", FailureWeight::Telling);
        assert_eq!(record.none_accepted(), None, "some tokens verify");
    }

    #[test]
    fn what_customers_bring_anyway_is_news_only_in_numbers() {
        let record = FirstSuccess::default();
        for _ in 1..USUAL_MIN {
            record.note_failure("expired", FailureWeight::Usual);
        }
        assert_eq!(record.none_accepted(), None);
        record.note_failure("expired", FailureWeight::Usual);
        assert!(record.none_accepted().is_some());
    }

    #[test]
    fn a_success_that_nobody_missed_is_no_news() {
        let record = FirstSuccess::default();
        record.note_success();
        assert_eq!(record.news(1), None);
    }
}
