//! When tokens were issued and when customers' tokens ended, by the nodes' own clocks: for tokens without an issue time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::buckets::Buckets;
use super::compact_time::Minutes;
use super::id_tables::{Expiring, SortedTable};
use super::summary::{Item, SumKey, item};
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Revocation};
use crate::revocation::identity::Identity;

/// How far the clocks of two nodes may differ, in milliseconds: a token that was seen within that time before the answer
/// that issued it was seen by a clock that is behind.
const SKEW_MS: u64 = 10_000;

/// The dates of tokens, customers and token domains.
///
/// Every date that is made here is later than all that are known here, whatever the clocks of the nodes say: what
/// comes after a logout is dated after it on every node that knows of the logout.
#[derive(Default)]
pub(super) struct Dates {
    seen: DatesOfKind,
    issued: DatesOfKind,
    revived: DatesOfKind,
    ended: DatesOfKind,
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

    /// Remembers a date. Whether it was news.
    pub(super) fn note(
        &self,
        (kind, id): (DateKind, Id),
        at_ms: u64,
        until: UnixTime,
        sum_key: &SumKey,
    ) -> bool {
        self.latest_ms.fetch_max(at_ms, Ordering::AcqRel);
        let date = Date::new(at_ms, until);
        let dates = self.of_kind(kind);
        dates.merge(id, sum_key, |known| {
            known.map_or(date, |known| known.merged(date, kind))
        })
    }

    /// When a token was issued, as far as it was seen or issued here or at another node.
    ///
    /// The answer that issued it knows best. One that was seen long before was handed out again.
    pub(super) fn issued_ms(&self, token: &Identity) -> Option<u64> {
        let first = |dates: &DatesOfKind| token.names().filter_map(|id| at_ms(dates, id)).min();
        let (seen, issued) = (first(&self.seen), first(&self.issued));
        match (seen, issued) {
            (Some(seen), Some(issued)) if seen.saturating_add(SKEW_MS) < issued => Some(seen),
            (seen, issued) => issued.or(seen),
        }
    }

    /// Up to when the tokens of a customer without an issue time ended.
    pub(super) fn ended_ms(&self, customer: &Id) -> Option<u64> {
        at_ms(&self.ended, customer)
    }

    /// The date of this kind.
    pub(super) fn date_of(&self, kind: DateKind, id: &Id) -> Option<u64> {
        at_ms(self.of_kind(kind), id)
    }

    /// Whether a dead token was handed out again after the last of its ends, and the shop's word counts.
    pub(super) fn is_revived(&self, token: &Identity) -> bool {
        let revived = token
            .names()
            .filter_map(|id| at_ms(&self.revived, id))
            .max();
        let Some(revived) = revived else {
            return false;
        };
        let last = token
            .all_names()
            .filter_map(|id| at_ms(&self.ended, id))
            .max();
        last.is_none_or(|last| last < revived)
    }

    /// The same for a token of which only this name is known.
    pub(super) fn is_revived_alone(&self, token: &Id) -> bool {
        let last = at_ms(&self.ended, token);
        let revived = at_ms(&self.revived, token);
        revived.is_some_and(|revived| last.is_none_or(|last| last < revived))
    }

    pub(super) fn of_kind(&self, kind: DateKind) -> &DatesOfKind {
        match kind {
            DateKind::Seen => &self.seen,
            DateKind::Issued => &self.issued,
            DateKind::Revived => &self.revived,
            DateKind::Ended => &self.ended,
        }
    }
}

/// The dates of one kind.
type DatesOfKind = Buckets<SortedTable<Date>>;

fn at_ms(dates: &DatesOfKind, id: &Id) -> Option<u64> {
    dates.get(id).map(Date::at_ms)
}

/// A moment and until when it is kept: ten bytes without alignment, for there may be one a token.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Date {
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
            until: Minutes::rounded_up(until).bytes(),
        }
    }

    fn at_ms(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.at_ms);
        u64::from_le_bytes(bytes)
    }

    pub(super) fn revocation(self, kind: DateKind, id: Id) -> Revocation {
        Revocation::Date {
            id,
            kind,
            at_ms: self.at_ms(),
            until: self.until().moment(),
        }
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

impl Expiring for Date {
    fn until(&self) -> Minutes {
        Minutes::from_bytes(self.until)
    }

    fn item(&self, id: &Id) -> Item {
        let at = UnixTime::from_seconds(self.at_ms());
        item(id, at, self.until().moment())
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::Bucket;
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
    fn the_answer_that_issued_a_token_dates_it_unless_it_was_seen_long_before() {
        let (dates, token) = (Dates::default(), identity(1));
        assert_eq!(dates.issued_ms(&token), None);
        note(&dates, DateKind::Issued, NOW_MS);
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
                prop_assert_eq!(at_ms(one.of_kind(kind), &id), expected.copied());
                let key = SumKey::default();
                let bucket = |number| Bucket::Dates(kind, number);
                let sums = [&one, &other].map(|dates| {
                    let dates = dates.of_kind(kind);
                    dates.summaries(bucket, UnixTime::EPOCH, &key).collect::<Vec<_>>()
                });
                prop_assert_eq!(&sums[0], &sums[1]);
                prop_assert_eq!(one.of_kind(kind).count(), 1);
            }
        }
    }
}
