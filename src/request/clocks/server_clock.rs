//! What the `Date` of a server's answers proves of its clock.
//!
//! A `Date` has whole seconds. An answer with `date`, received at `received` to a request sent at `sent`, proves that the
//! server's clock is ahead of ours by at least `date - received` and by less than `date + 1 s - sent`.

use smallvec::SmallVec;

use crate::clock::UnixTime;

/// How far a clock is ahead of ours, in milliseconds; negative: behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) struct DateBounds {
    /// By this much, or more.
    pub(in crate::request) least: i64,
    /// By less than this.
    pub(in crate::request) most: i64,
}

/// What several answers of one server prove together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) struct Estimate {
    /// How far the clock is off.
    pub(in crate::request) bounds: DateBounds,
    /// Whether it rests on two answers of different seconds, or on one that agrees with our own clock.
    pub(in crate::request) is_confirmed: bool,
}

/// The last answers of one server by their `Date`, the newest last.
#[derive(Debug, Default)]
pub(in crate::request) struct ServerClock(SmallVec<[Second; SECONDS]>);

/// All answers with the same `Date`.
#[derive(Clone, Copy, Debug)]
struct Second {
    /// The `Date`.
    date: u64,
    /// What they prove together. Nothing if the second lasted for longer than a second: then the answers come from a cache.
    bounds: DateBounds,
    /// What the last of them proves.
    last: DateBounds,
    /// When that was received, in milliseconds since the epoch.
    received_ms: u64,
}

/// How many seconds are remembered: enough to recognise an outlier.
const SECONDS: usize = 8;

/// Bounds that are further apart prove too little to confirm others, because the answer took too long.
const NARROW_MS: i64 = 3_000;

impl DateBounds {
    /// What one answer proves; times are in milliseconds since the epoch.
    pub(in crate::request) fn from_answer(sent_ms: u64, received_ms: u64, date: UnixTime) -> Self {
        let stamped = signed(date.seconds().saturating_mul(1000));
        Self {
            least: stamped.saturating_sub(signed(received_ms)),
            most: stamped.saturating_add(1000).saturating_sub(signed(sent_ms)),
        }
    }

    /// Whether the clock can be within `max_ms` of ours.
    pub(in crate::request) fn are_within(self, max_ms: i64) -> bool {
        self.least <= max_ms && self.most > -max_ms
    }

    /// The offset in whole seconds, rounded down; none where the clocks can agree.
    pub(in crate::request) fn seconds(self) -> i64 {
        if self.least <= 0 && 0 < self.most {
            0
        } else {
            self.least.div_euclid(1000)
        }
    }

    /// What both prove.
    fn narrowed(self, other: Self) -> Self {
        Self {
            least: self.least.max(other.least),
            most: self.most.min(other.most),
        }
    }

    /// What either one allows.
    fn widened(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }

    /// Whether it is narrow enough to confirm others.
    fn is_narrow(self) -> bool {
        self.least < self.most && self.most.saturating_sub(self.least) <= NARROW_MS
    }

    fn agree(self, other: Self) -> bool {
        let both = self.narrowed(other);
        self.is_narrow() && other.is_narrow() && both.least < both.most
    }
}

impl ServerClock {
    /// Learns from one answer.
    pub(in crate::request) fn observe(
        &mut self,
        date: UnixTime,
        received_ms: u64,
        bounds: DateBounds,
    ) {
        let date = date.seconds();
        if let Some(second) = self.0.iter_mut().find(|second| second.date == date) {
            second.bounds = second.bounds.narrowed(bounds);
            second.last = bounds;
            second.received_ms = received_ms;
            return;
        }
        if self.0.len() == SECONDS {
            self.0.remove(0);
        }
        self.0.push(Second {
            date,
            bounds,
            last: bounds,
            received_ms,
        });
    }

    /// When the last answer was received, in milliseconds since the epoch.
    pub(in crate::request) fn last_answer_ms(&self) -> u64 {
        let received = self.0.iter().map(|second| second.received_ms);
        received.max().unwrap_or_default()
    }

    /// The estimates within `max_ms` of our clock: one for each clock behind the address. If none is confirmed, one that spans
    /// the bounds of all answers.
    pub(in crate::request) fn estimates_within(&self, max_ms: i64) -> SmallVec<[Estimate; 2]> {
        let is_near = |second: &&Second| second.last.are_within(max_ms);
        let near: SmallVec<[&Second; SECONDS]> = self.0.iter().filter(is_near).collect();
        let mut estimates = SmallVec::new();
        for second in &near {
            estimates.extend(confirmed(second, &near).filter(|one| !estimates.contains(one)));
        }
        if estimates.is_empty() {
            let all = near.iter().map(|second| second.last);
            estimates.extend(all.reduce(DateBounds::widened).map(|bounds| Estimate {
                bounds,
                is_confirmed: false,
            }));
        }
        estimates
    }

    /// The estimates, however far from our clock.
    pub(in crate::request) fn estimates(&self) -> SmallVec<[Estimate; 2]> {
        self.estimates_within(i64::MAX)
    }
}

/// What a second proves together with those that agree with it. The extreme of several does not count: it may be an outlier.
fn confirmed(second: &Second, all: &[&Second]) -> Option<Estimate> {
    let agrees = |other: &&&Second| other.bounds.agree(second.bounds);
    let agreeing = all.iter().filter(agrees).map(|other| other.bounds);
    let agreeing: SmallVec<[DateBounds; SECONDS]> = agreeing.collect(); // itself, too, if it is narrow
    let is_ours = second.bounds.agree(DateBounds { least: 0, most: 1 });
    if agreeing.len() < 2 && !is_ours {
        return None;
    }
    let mut least: SmallVec<[i64; SECONDS]> = agreeing.iter().map(|one| one.least).collect();
    let mut most: SmallVec<[i64; SECONDS]> = agreeing.iter().map(|one| one.most).collect();
    least.sort_unstable_by(|one, other| other.cmp(one));
    most.sort_unstable();
    let bounds = DateBounds {
        least: *least.get(1).or(least.first())?,
        most: *most.get(1).or(most.first())?,
    };
    Some(Estimate {
        bounds,
        is_confirmed: true,
    })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
