//! What was counted in the last five minutes, so that a page that is opened now has something to draw.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// How far it reaches back, in milliseconds.
const SPAN_MS: u64 = 300_000;

/// How many points are kept: one a second, and a few that came early.
const POINTS_MAX: usize = 400;

/// What was counted, from the oldest to the newest.
#[derive(Default)]
pub(super) struct History(VecDeque<HistoryPoint>);

/// What had been counted since the start by a moment, and how much was remembered then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HistoryPoint {
    /// In milliseconds since the epoch.
    pub(super) at_ms: u64,
    pub(super) requests: u64,
    pub(super) refusals: u64,
    pub(super) logouts: u64,
    /// The revocations in force.
    pub(super) live: u64,
    /// The memory that they use.
    pub(super) bytes: u64,
}

/// The decisions that refuse nothing.
const HARMLESS: [&str; 4] = ["forwarded", "redirected", "logout", "logout_declined"];

impl HistoryPoint {
    /// Adds up the totals of a status document.
    pub(super) fn of(totals: &Value, at_ms: u64, live: u64, bytes: u64) -> Self {
        let sum = |of: &str, counts: &dyn Fn(&str) -> bool| {
            let all = totals[of].as_object().into_iter().flatten();
            let counted = all.filter(|(name, _)| counts(name));
            counted.filter_map(|(_, count)| count.as_u64()).sum()
        };
        Self {
            at_ms,
            requests: sum("requests", &|_| true),
            refusals: sum("decisions", &|name| !HARMLESS.contains(&name)),
            logouts: sum("logouts", &|outcome| outcome == "revoked"),
            live,
            bytes,
        }
    }

    /// As the page reads it.
    pub(super) fn to_json(self) -> Value {
        json!([
            self.at_ms,
            self.requests,
            self.refusals,
            self.logouts,
            self.live,
            self.bytes
        ])
    }
}

impl History {
    /// Adds a point, and forgets what is too old. A clock that was set back begins anew.
    pub(super) fn add(&mut self, point: HistoryPoint) {
        if self.0.back().is_some_and(|last| last.at_ms > point.at_ms) {
            self.0.clear();
        }
        self.0.push_back(point);
        let begin = point.at_ms.saturating_sub(SPAN_MS);
        while self.0.len() > POINTS_MAX || self.0.front().is_some_and(|oldest| oldest.at_ms < begin)
        {
            self.0.pop_front();
        }
    }

    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|point| point.to_json()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_ms: u64) -> HistoryPoint {
        HistoryPoint {
            at_ms,
            ..HistoryPoint::default()
        }
    }

    #[test]
    fn five_minutes_are_kept_and_a_clock_that_goes_back_begins_anew() {
        let mut history = History::default();
        for second in 0..1_000 {
            history.add(at(second * 1_000));
        }
        assert_eq!(history.0.len(), 301);
        assert_eq!(history.0.front(), Some(&at(699_000)));
        history.add(at(5));
        assert_eq!(history.0, [at(5)]);
    }

    #[test]
    fn refusals_are_what_is_neither_forwarded_nor_a_logout() {
        let totals = json!({
            "requests": { "200": 7, "401": 3 },
            "decisions": { "forwarded": 5, "logout": 1, "logout_declined": 1, "redirected": 9, "revoked": 2, "expired": 1 },
            "logouts": { "revoked": 1, "declined": 1 },
        });
        let point = HistoryPoint::of(&totals, 7, 2, 96);
        assert_eq!(point.to_json(), json!([7, 10, 3, 1, 2, 96]));
    }
}
