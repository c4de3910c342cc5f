//! Revoked ids whose tokens have no known end, those of sessions among them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;

use super::buckets::Buckets;
use super::compact_time::Minutes;
use super::id_tables::{Expiring, IdTable};
use super::summary::{Item, SumKey, item};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation, Source, UNCONFIRMED_LIFE, Window};

/// How many live entries of one shop rest on unverified credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnverifiedCounts {
    /// Those that end within the hour: nothing shows that the shop knew their tokens.
    pub unconfirmed: u64,
    /// Those that are kept for longer: the shop may know their tokens.
    pub likely: u64,
}

/// Ids that no window can hold, those of sessions among them: probed by every check, each with its own end.
#[derive(Default)]
pub(super) struct Undated {
    pub(super) ids: Buckets<IdTable<UndatedEntry>>,
    /// The ends of the entries of each unverified source.
    by_source: Mutex<HashMap<u32, EndsByMinute>>,
}

/// How many entries end in which minute.
#[derive(Default)]
struct EndsByMinute {
    count: u64,
    by_minute: BTreeMap<Minutes, u64>,
}

impl EndsByMinute {
    fn add(&mut self, end: Minutes) {
        self.count += 1;
        *self.by_minute.entry(end).or_default() += 1;
    }

    fn remove(&mut self, end: Minutes) {
        self.count -= 1;
        if let Some(count) = self.by_minute.get_mut(&end) {
            *count -= 1;
            if *count == 0 {
                self.by_minute.remove(&end);
            }
        }
    }

    fn live_at(&self, now: UnixTime) -> UnverifiedCounts {
        /// Ends are whole minutes, and clocks of nodes differ a little.
        const SLACK: Duration = Duration::from_mins(1);
        let soon = Minutes::rounded_up(now.plus(UNCONFIRMED_LIFE + SLACK));
        let (mut over, mut unconfirmed) = (0, 0);
        for (end, count) in self.by_minute.range(..=soon) {
            if end.are_over(now) {
                over += count;
            } else {
                unconfirmed += count;
            }
        }
        UnverifiedCounts {
            unconfirmed,
            likely: self.count - over - unconfirmed,
        }
    }
}

/// What is remembered of such an id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct UndatedEntry {
    until: Minutes,
    source: u32,
}

impl UndatedEntry {
    /// What two nodes know together: the later end, and that it was verified if one of them knows it.
    fn merged(self, other: Self) -> Self {
        Self {
            until: self.until.max(other.until),
            source: self.source.min(other.source),
        }
    }

    pub(super) fn revocation(self, id: Id) -> Revocation {
        Revocation::Token {
            id,
            window: Window::UNDATED,
            until: self.until.moment(),
            source: Source::from_number(self.source),
        }
    }
}

impl Expiring for UndatedEntry {
    fn until(&self) -> Minutes {
        self.until
    }

    fn item(&self, id: &Id) -> Item {
        item(id, self.until.moment(), UnixTime::EPOCH)
    }
}

impl Undated {
    /// How many live entries were made on the word of unverified credentials with this tag.
    pub(super) fn unverified(&self, source: Source, now: UnixTime) -> UnverifiedCounts {
        let by_source = self.by_source.lock();
        let ends = by_source.get(&source.number());
        ends.map_or(UnverifiedCounts::default(), |ends| ends.live_at(now))
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.ids.get(id).is_some()
    }

    /// Remembers an id. Whether it was news.
    pub(super) fn insert(&self, id: Id, until: UnixTime, source: Source, sum_key: &SumKey) -> bool {
        let new = UndatedEntry {
            until: Minutes::rounded_up(until),
            source: source.number(),
        };
        self.ids.merge(id, sum_key, |known| {
            let merged = known.map_or(new, |known| known.merged(new));
            self.recount(known, Some(merged));
            merged
        })
    }

    /// Counts what is known of an id of unverified sources instead of what was.
    fn recount(&self, before: Option<UndatedEntry>, now: Option<UndatedEntry>) {
        let is_unverified = |entry: &UndatedEntry| entry.source != Source::Verified.number();
        let [before, now] = [before, now].map(|entry| entry.filter(is_unverified));
        if before == now {
            return;
        }
        let mut by_source = self.by_source.lock();
        if let Some(before) = before {
            by_source
                .entry(before.source)
                .or_default()
                .remove(before.until);
        }
        if let Some(now) = now {
            by_source.entry(now.source).or_default().add(now.until);
        }
    }

    pub(super) fn drop_ended(&self, now: UnixTime, sum_key: &SumKey) {
        self.ids
            .drop_ended(now, sum_key, |dropped| self.recount(Some(dropped), None));
    }
}
