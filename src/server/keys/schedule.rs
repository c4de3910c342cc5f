//! The schedule of fetching keys. Every moment is an argument; it reads no clock.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// The shortest time for which an answer counts as fresh, so that an identity provider with `no-store` is not asked every
/// second.
const FRESH_MIN: Duration = Duration::from_mins(1);
/// The longest: a key that was withdrawn is not believed for longer.
const FRESH_MAX: Duration = Duration::from_hours(24);
/// How long after a failure the next attempt begins; it doubles with every one.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// How many fetches unknown `kid`s may cause in a cooldown.
const BURST: u32 = 5;

/// The fetches of one shop: one at a time.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When the next one is due.
    next: Instant,
    /// When all the fetches that unknown `kid`s may cause at once can be had again.
    rested: Instant,
    failures: u32,
    is_running: bool,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(crate) fn starting(now: Instant) -> Self {
        Self {
            next: now,
            rested: now,
            failures: 0,
            is_running: false,
        }
    }

    /// Whether a fetch begins now. `wanted`: a token named a key that is not there. That counts [`BURST`] times in a
    /// `cooldown`, at once or one after the other, so that invented key ids do not cause fetches without end.
    pub(crate) fn begin(&mut self, now: Instant, wanted: bool, cooldown: Duration) -> bool {
        if self.is_running {
            return false;
        }
        let is_due = now >= self.next;
        if !is_due {
            let rested = self.rested.max(now) + cooldown / BURST;
            if !wanted || rested > now + cooldown {
                return false;
            }
            self.rested = rested;
        }
        self.is_running = true;
        true
    }

    /// Whether one is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// It brought keys that are good for so long.
    pub(crate) fn succeed(&mut self, now: Instant, fresh_for: Duration) {
        self.is_running = false;
        self.failures = 0;
        self.next = now + fresh_for;
    }

    /// It brought nothing.
    pub(crate) fn fail(&mut self, now: Instant) {
        self.is_running = false;
        let doubled = RETRY_MIN.saturating_mul(1 << self.failures.min(16));
        self.next = now + doubled.min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
    }
}

/// How long an answer stays fresh (RFC 9111 sections 4.2 and 5.2.2), within bounds. `None`: it does not
/// say.
pub(crate) fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut shortest = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => 0,
            "max-age" => seconds_of(value).unwrap_or_default(), // what can't be read is stale
            _ => continue,
        };
        shortest = Some(shortest.map_or(seconds, |known: u64| known.min(seconds)));
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(seconds_of).unwrap_or_default();
    let left = Duration::from_secs(shortest?.saturating_sub(age));
    Some(left.clamp(FRESH_MIN, FRESH_MAX))
}

/// A number that is too large to be read is large (RFC 9111 section 1.2.2).
fn seconds_of(text: &str) -> Option<u64> {
    let digits = text.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::clock;

    const COOLDOWN: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn fresh(lines: &[&'static str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        freshness(&headers)
    }

    #[test]
    fn an_answer_says_how_long_it_is_fresh_within_a_minute_and_a_day() {
        let minutes = |count| Some(Duration::from_mins(count));
        assert_eq!(fresh(&[]), None);
        assert_eq!(fresh(&["public, must-revalidate"]), None);
        assert_eq!(fresh(&["public, max-age=3600"]), minutes(60));
        assert_eq!(fresh(&["Max-Age = \"3600\""]), minutes(60));
        assert_eq!(fresh(&["max-age=5"]), minutes(1));
        assert_eq!(fresh(&["max-age=0"]), minutes(1));
        assert_eq!(fresh(&["max-age=31536000"]), Some(FRESH_MAX));
        assert_eq!(fresh(&["max-age=99999999999999999999999"]), Some(FRESH_MAX));
        assert_eq!(fresh(&["no-store"]), minutes(1));
        assert_eq!(fresh(&["no-cache, max-age=3600"]), minutes(1));
        assert_eq!(fresh(&["max-age=7200", "max-age=3600"]), minutes(60));
        for odd in [
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=soon",
        ] {
            assert_eq!(fresh(&[odd]), minutes(1), "{odd}");
        }
    }

    #[test]
    fn what_lay_in_a_cache_is_that_much_older() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        headers.insert(AGE, HeaderValue::from_static("3000"));
        assert_eq!(freshness(&headers), Some(Duration::from_mins(10)));
        headers.insert(AGE, HeaderValue::from_static("36000"));
        assert_eq!(freshness(&headers), Some(FRESH_MIN));
    }

    #[test]
    fn one_fetch_at_a_time_and_the_next_when_it_is_due() {
        let start = clock::instant();
        let mut schedule = Schedule::starting(start);
        assert!(schedule.begin(start, false, COOLDOWN));
        assert!(
            !schedule.begin(start + FRESH_MAX, true, COOLDOWN),
            "it runs"
        );
        schedule.succeed(start, FRESH_MIN);
        assert!(!schedule.begin(start + SECOND * 59, false, COOLDOWN));
        assert!(schedule.begin(start + FRESH_MIN, false, COOLDOWN));
    }

    #[test]
    fn unknown_names_cause_a_burst_of_fetches_and_then_one_at_a_time_attacks_s1() {
        let start = clock::instant();
        let mut schedule = Schedule::starting(start);
        assert!(schedule.begin(start, false, COOLDOWN));
        schedule.succeed(start, FRESH_MAX);
        let mut begun = Vec::new();
        for second in 1..=40 {
            let now = start + SECOND * second;
            if schedule.begin(now, true, COOLDOWN) {
                begun.push(second);
                schedule.succeed(now, FRESH_MAX);
            }
        }
        assert_eq!(begun, [1, 2, 3, 4, 5, 7, 13, 19, 25, 31, 37]);
        let rested = start + SECOND * 100;
        for _ in 0..BURST {
            assert!(schedule.begin(rested, true, COOLDOWN));
            schedule.succeed(rested, FRESH_MAX);
        }
        assert!(!schedule.begin(rested, true, COOLDOWN));
    }

    #[test]
    fn failures_are_tried_again_after_one_second_and_at_last_every_minute() {
        let start = clock::instant();
        let mut schedule = Schedule::starting(start);
        let mut begun = Vec::new();
        for second in 0..=250 {
            let now = start + SECOND * second;
            if schedule.begin(now, false, COOLDOWN) {
                begun.push(second);
                schedule.fail(now);
            }
        }
        assert_eq!(begun, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        let now = start + SECOND * 303;
        assert!(schedule.begin(now, false, COOLDOWN));
        schedule.succeed(now, FRESH_MIN);
        assert!(schedule.begin(now + FRESH_MIN, false, COOLDOWN));
        schedule.fail(now + FRESH_MIN);
        let again = now + FRESH_MIN + RETRY_MIN;
        assert!(schedule.begin(again, false, COOLDOWN), "it begins anew");
    }
}
