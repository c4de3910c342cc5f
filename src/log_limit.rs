//! A limit on how often one thing is logged, so that no client or peer can fill the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What was logged lately. A thing is logged once in a span; of more things than are remembered no more are logged.
#[derive(Debug)]
pub struct LogLimit<K = ()> {
    span_ms: u64,
    things_max: usize,
    logged_ms: HashMap<K, u64>,
}

impl<K: Eq + Hash> LogLimit<K> {
    /// Each thing once in a span, and at most so many things in one.
    pub fn new(span: Duration, things_max: usize) -> Self {
        Self {
            span_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            things_max,
            logged_ms: HashMap::new(),
        }
    }

    /// Whether a thing is to be logged now: it then counts as logged.
    pub fn is_due(&mut self, thing: K, now_ms: u64) -> bool {
        let is_old = |then: u64| now_ms.saturating_sub(then) >= self.span_ms;
        if self.logged_ms.len() >= self.things_max {
            self.logged_ms.retain(|_, then| !is_old(*then));
        }
        let is_due = match self.logged_ms.get(&thing) {
            Some(then) => is_old(*then),
            None => self.logged_ms.len() < self.things_max,
        };
        if is_due {
            self.logged_ms.insert(thing, now_ms);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_logged_once_in_a_span_and_no_more_than_so_many() {
        const SPAN_MS: u64 = 60_000;
        let mut limit = LogLimit::new(Duration::from_millis(SPAN_MS), 256);
        assert!(limit.is_due("/logout".to_owned(), 5));
        assert!(!limit.is_due("/logout".to_owned(), 5 + SPAN_MS - 1));
        for number in 0..1_000 {
            limit.is_due(format!("/logout/{number}"), 5);
        }
        assert_eq!(limit.logged_ms.len(), 256);
        assert!(!limit.is_due("/sign-out".to_owned(), 5));
        assert!(limit.is_due("/logout".to_owned(), 5 + SPAN_MS));
        assert_eq!(limit.logged_ms.len(), 1);
    }
}
