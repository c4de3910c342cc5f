//! Customers and token domains whose tokens of before a moment are dead.

use std::sync::atomic::{AtomicU64, Ordering};

use super::buckets::{Buckets, Expiring, IdTable};
use super::compact_time::{Minutes, Seconds};
use super::summary::{Bucket, Item, SumKey, Summary, item, item_of};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation};

/// Customers and token domains with the moment before which their tokens are dead: a map of
/// registers that only rise.
#[derive(Default)]
pub(super) struct Cutoffs {
    buckets: Buckets<IdTable<Cutoff>>,
    len: AtomicU64,
}

/// Eight bytes, for there may be one a customer.
#[derive(Clone, Copy)]
struct Cutoff {
    not_before: Seconds,
    until: Minutes,
}

impl Expiring for Cutoff {
    fn until(&self) -> Minutes {
        self.until
    }

    fn item(&self, id: &Id) -> Item {
        item(id, self.not_before.moment(), self.until.moment())
    }
}

impl Cutoffs {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// How many bytes they take, the free places of their tables included.
    pub(super) fn bytes(&self) -> usize {
        self.buckets.bytes()
    }

    pub(super) fn summaries(
        &self,
        beyond: UnixTime,
        sum_key: &SumKey,
    ) -> impl Iterator<Item = Summary> {
        self.buckets.summaries(Bucket::Cutoffs, beyond, sum_key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// The cutoff by which a token of that group, issued then, is dead. The second of the cutoff itself is spared.
    pub(super) fn cover(&self, id: &Id, issued_at: Option<UnixTime>) -> Option<UnixTime> {
        if self.is_empty() {
            return None;
        }
        let part = self.buckets.of(id).read();
        let cutoff = part.table.get(id)?;
        let covers = issued_at.is_none_or(|begin| cutoff.not_before.is_after(begin));
        covers.then(|| cutoff.not_before.moment())
    }

    pub(super) fn raise(
        &self,
        id: Id,
        not_before: UnixTime,
        until: UnixTime,
        sum_key: &SumKey,
    ) -> bool {
        let mut raised = Cutoff {
            not_before: Seconds::of(not_before),
            until: Minutes::up(until),
        };
        let mut part = self.buckets.of(&id).write();
        let known = part.table.get(&id).copied();
        if let Some(known) = known {
            if raised.not_before <= known.not_before && raised.until <= known.until {
                return false;
            }
            raised.not_before = raised.not_before.max(known.not_before);
            raised.until = raised.until.max(known.until);
        }
        part.put(id, raised, sum_key);
        if known.is_none() {
            self.len.fetch_add(1, Ordering::Release);
        }
        true
    }

    pub(super) fn entries(&self, number: u8, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        let entry = |(id, cutoff): (&Id, &Cutoff)| {
            let (not_before, until) = (cutoff.not_before.moment(), cutoff.until.moment());
            let revocation = Revocation::Cutoff {
                id: *id,
                not_before,
                until,
            };
            (until > beyond).then(|| (item_of(&revocation), revocation))
        };
        let part = self.buckets.numbered(number).read();
        part.table.iter().filter_map(entry).collect()
    }

    pub(super) fn drop_ended(&self, now: UnixTime, sum_key: &SumKey) {
        for part in self.buckets.0.iter() {
            let dropped = part.write().take_ended(now, sum_key).len();
            self.len.fetch_sub(dropped as u64, Ordering::Relaxed);
        }
    }
}
