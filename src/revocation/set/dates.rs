//! When tokens were issued and when customers' tokens ended, by the nodes' own clocks: for tokens without an issue time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::buckets::{BucketTable, Buckets, Expiring, SortedTable};
use super::compact_time::Minutes;
use super::summary::{Bucket, Item, SumKey, Summary, item, item_of};
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Identity, Revocation};

/// How far the clocks of two nodes may differ, in milliseconds: a token that was seen within that time before the answer
/// that minted it was seen by a clock that is behind.
const SKEW_MS: u64 = 10_000;

/// The dates of tokens, customers and token domains.
///
/// Every date that is made here is later than all that are known here, whatever the clocks of the nodes say: what
/// comes after a logout is dated after it on every node that knows of the logout.
#[derive(Default)]
pub(super) struct Dates {
    seen: Moments,
    minted: Moments,
    revived: Moments,
    ended: Moments,
    latest_ms: AtomicU64,
}

impl Dates {
    /// A moment for something that happens now: later than every date that is known.
    pub(super) fn next_ms(&self, now_ms: u64) -> u64 {
        let later = |latest: u64| latest.saturating_add(1).max(now_ms);
        let before = self
            .latest_ms
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |latest| {
                Some(later(latest))
            });
        later(before.unwrap_or_else(|latest| latest))
    }

    /// Takes in a date. Whether it was news.
    pub(super) fn note(
        &self,
        (kind, id): (DateKind, Id),
        at_ms: u64,
        until: UnixTime,
        sum_key: &SumKey,
    ) -> bool {
        self.latest_ms.fetch_max(at_ms, Ordering::AcqRel);
        let date = Date::new(at_ms, until);
        self.of(kind).merge(id, date, kind, sum_key)
    }

    /// When a token was issued, as far as it was seen or minted here or at another node.
    ///
    /// The answer that minted it knows best. One that was seen long before was handed out again.
    pub(super) fn issued_ms(&self, token: &Identity) -> Option<u64> {
        let first = |moments: &Moments| token.names().filter_map(|id| moments.get(id)).min();
        let (seen, minted) = (first(&self.seen), first(&self.minted));
        match (seen, minted) {
            (Some(seen), Some(minted)) if seen.saturating_add(SKEW_MS) < minted => Some(seen),
            (seen, minted) => minted.or(seen),
        }
    }

    /// Up to when the tokens of a customer without an issue time ended.
    pub(super) fn ended_ms(&self, customer: &Id) -> Option<u64> {
        self.ended.get(customer)
    }

    /// Whether a dead token was handed out again after the last of its ends, and the shop's word counts.
    pub(super) fn is_revived(&self, token: &Identity) -> bool {
        let revived = token.names().filter_map(|id| self.revived.get(id)).max();
        let Some(revived) = revived else {
            return false;
        };
        let last = token.all_names().filter_map(|id| self.ended.get(id)).max();
        last.is_none_or(|last| last < revived)
    }

    /// The same for a token of which only this name is known.
    pub(super) fn is_revived_alone(&self, token: &Id) -> bool {
        self.revived
            .get(token)
            .is_some_and(|revived| self.ended.get(token).is_none_or(|last| last < revived))
    }

    /// How many dates of a kind there are.
    pub(super) fn count(&self, kind: DateKind) -> u64 {
        self.of(kind).len.load(Ordering::Relaxed)
    }

    /// How many bytes they take, the free places of their tables included.
    pub(super) fn bytes(&self) -> usize {
        let all = DateKind::ALL.into_iter();
        all.map(|kind| self.of(kind).buckets.bytes()).sum()
    }

    /// What every part holds that is not empty.
    pub(super) fn summaries(
        &self,
        beyond: UnixTime,
        sum_key: &SumKey,
    ) -> impl Iterator<Item = Summary> {
        let kinds = DateKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| self.count(*kind) > 0);
        kinds.flat_map(move |kind| {
            let bucket = move |number| Bucket::Dates(kind, number);
            self.of(kind).buckets.summaries(bucket, beyond, sum_key)
        })
    }

    pub(super) fn entries(
        &self,
        kind: DateKind,
        number: u8,
        beyond: UnixTime,
    ) -> Vec<(Item, Revocation)> {
        let entry = |(id, date): (&Id, &Date)| {
            let revocation = Revocation::Date {
                id: *id,
                kind,
                at_ms: date.at_ms(),
                until: date.until().moment(),
            };
            (revocation.until() > beyond).then(|| (item_of(&revocation), revocation))
        };
        let part = self.of(kind).buckets.numbered(number).read();
        part.table.all().filter_map(entry).collect()
    }

    /// Drops what is over. Reads all of it.
    pub(super) fn drop_ended(&self, now: UnixTime, sum_key: &SumKey) {
        for kind in DateKind::ALL {
            let moments = self.of(kind);
            for part in moments.buckets.0.iter() {
                let dropped = part.write().take_ended(now, sum_key).len();
                moments.len.fetch_sub(dropped as u64, Ordering::Relaxed);
            }
        }
    }

    fn of(&self, kind: DateKind) -> &Moments {
        match kind {
            DateKind::Seen => &self.seen,
            DateKind::Minted => &self.minted,
            DateKind::Revived => &self.revived,
            DateKind::Ended => &self.ended,
        }
    }
}

/// The dates of one kind.
#[derive(Default)]
struct Moments {
    buckets: Buckets<SortedTable<Date>>,
    len: AtomicU64,
}

/// A moment and until when it is kept: ten bytes without alignment, for there may be one a token.
#[derive(Clone, Copy)]
struct Date {
    /// Milliseconds since the epoch, enough for 8,900 years.
    at_ms: [u8; 6],
    until: [u8; 4],
}

impl Date {
    fn new(at_ms: u64, until: UnixTime) -> Self {
        const LAST_MS: u64 = (1 << 48) - 1;
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&at_ms.min(LAST_MS).to_le_bytes()[..6]);
        Self {
            at_ms: bytes,
            until: Minutes::up(until).bytes(),
        }
    }

    fn at_ms(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.at_ms);
        u64::from_le_bytes(bytes)
    }

    /// What is known after both.
    fn merged(self, other: Self, kind: DateKind) -> Self {
        let at_ms = if kind.is_earliest() {
            self.at_ms().min(other.at_ms())
        } else {
            self.at_ms().max(other.at_ms())
        };
        let until = self.until().max(other.until());
        Self {
            until: until.bytes(),
            ..Self::new(at_ms, UnixTime::EPOCH)
        }
    }
}

impl PartialEq for Date {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.until) == (other.at_ms, other.until)
    }
}

impl Expiring for Date {
    fn until(&self) -> Minutes {
        Minutes::from_bytes(self.until)
    }

    fn item(&self, id: &Id) -> Item {
        let at = UnixTime::from_seconds(self.at_ms());
        item(id, at, self.until().moment())
    }
}

impl Moments {
    fn get(&self, id: &Id) -> Option<u64> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let part = self.buckets.of(id).read();
        part.table.get(id).map(|date| date.at_ms())
    }

    fn merge(&self, id: Id, date: Date, kind: DateKind, sum_key: &SumKey) -> bool {
        let mut part = self.buckets.of(&id).write();
        let known = part.table.get(&id).copied();
        let merged = known.map_or(date, |known| known.merged(date, kind));
        if known == Some(merged) {
            return false;
        }
        part.put(id, merged, sum_key);
        if known.is_none() {
            self.len.fetch_add(1, Ordering::Release);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn identity(number: u8) -> Identity {
        Identity::undated(Id::from_bytes([number; 16]))
    }

    fn note(dates: &Dates, kind: DateKind, at_ms: u64) -> bool {
        let id = Id::from_bytes([1; 16]);
        let until = UnixTime::from_seconds(2_000_000_000);
        dates.note((kind, id), at_ms, until, &SumKey::default())
    }

    #[test]
    fn what_comes_after_a_date_is_later_whatever_the_clock_says() {
        let dates = Dates::default();
        assert_eq!(dates.next_ms(NOW_MS), NOW_MS);
        assert_eq!(dates.next_ms(NOW_MS), NOW_MS + 1, "in the same millisecond");
        note(&dates, DateKind::Ended, NOW_MS + 900_000);
        assert_eq!(
            dates.next_ms(NOW_MS),
            NOW_MS + 900_001,
            "this clock is behind"
        );
    }

    #[test]
    fn the_answer_that_minted_a_token_dates_it_unless_it_was_seen_long_before() {
        let (dates, token) = (Dates::default(), identity(1));
        assert_eq!(dates.issued_ms(&token), None);
        note(&dates, DateKind::Minted, NOW_MS);
        note(&dates, DateKind::Seen, NOW_MS - 3_000);
        assert_eq!(dates.issued_ms(&token), Some(NOW_MS), "a clock is behind");
        note(&dates, DateKind::Seen, NOW_MS - 30_000);
        assert_eq!(dates.issued_ms(&token), Some(NOW_MS - 30_000));
        assert_eq!(dates.issued_ms(&identity(2)), None);
    }

    #[test]
    fn the_newer_of_an_end_and_a_revival_counts() {
        let (dates, token) = (Dates::default(), identity(1));
        note(&dates, DateKind::Ended, NOW_MS);
        assert!(!dates.is_revived(&token));
        note(&dates, DateKind::Revived, NOW_MS + 1);
        assert!(dates.is_revived(&token));
        note(&dates, DateKind::Ended, NOW_MS + 1);
        assert!(!dates.is_revived(&token), "at the same moment it is dead");
    }

    proptest! {
        /// Whatever the order in which dates come, and however often: all nodes end with the same.
        #[test]
        fn dates_merge_alike_in_every_order(moments in proptest::collection::vec(0_u64..1 << 48, 1..6)) {
            for kind in DateKind::ALL {
                let (one, other) = (Dates::default(), Dates::default());
                for at in &moments {
                    note(&one, kind, *at);
                }
                for at in moments.iter().rev().chain(&moments) {
                    note(&other, kind, *at);
                }
                let id = Id::from_bytes([1; 16]);
                let expected = if kind.is_earliest() { moments.iter().min() } else { moments.iter().max() };
                prop_assert_eq!(one.of(kind).get(&id), expected.copied());
                let key = SumKey::default();
                let sums = [&one, &other].map(|dates| dates.summaries(UnixTime::EPOCH, &key).collect::<Vec<_>>());
                prop_assert_eq!(&sums[0], &sums[1]);
                prop_assert_eq!(one.count(kind), 1);
            }
        }
    }
}
