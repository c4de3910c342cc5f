//! Entries that no window holds, in buckets that two nodes compare.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::id_tables::{BucketTable, Expiring};
use super::summary::{Bucket, Item, Sum, SumKey, Summary};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation};

/// Entries, and the sum of them, so that comparing them takes no digest of each.
#[derive(Default)]
struct SummedTable<E> {
    table: E,
    sum: Sum,
}

impl<E: BucketTable> SummedTable<E> {
    /// Puts this in the place of what is known of the id.
    fn put(&mut self, id: Id, value: E::Value, sum_key: &SumKey) {
        if let Some(known) = self.table.put(id, value) {
            self.sum.subtract(sum_key.share(&known.item(&id)));
        }
        self.sum.add(sum_key.share(&value.item(&id)));
    }

    /// Takes out what is over.
    fn take_ended(&mut self, now: UnixTime, sum_key: &SumKey) -> Vec<E::Value> {
        let ended = self.table.take_ended(now);
        for (id, value) in &ended {
            self.sum.subtract(sum_key.share(&value.item(id)));
        }
        ended.into_iter().map(|(_, value)| value).collect()
    }

    /// What is kept beyond a moment; `None`: nothing.
    fn summary(&self, bucket: Bucket, beyond: UnixTime, sum_key: &SumKey) -> Option<Summary> {
        let mut summary = Summary {
            bucket,
            count: self.table.count() as u64,
            sum: self.sum,
            until: UnixTime::FOREVER,
        };
        if summary.count == 0 {
            return None;
        }
        for (id, value) in self.table.all() {
            if value.until().moment() <= beyond {
                summary.count -= 1;
                summary.sum.subtract(sum_key.share(&value.item(id)));
            }
        }
        (summary.count > 0).then_some(summary)
    }
}

/// A bucket for every last byte that an id can have: a difference is looked for among few entries, and what that keeps
/// waiting waits for as long as few entries take.
pub(super) struct Buckets<E> {
    buckets: Box<[RwLock<SummedTable<E>>; 256]>,
    /// How many entries there are in all.
    count: AtomicU64,
}

impl<E: Default> Default for Buckets<E> {
    fn default() -> Self {
        Self {
            buckets: Box::new(std::array::from_fn(|_| RwLock::default())),
            count: AtomicU64::new(0),
        }
    }
}

impl<E: BucketTable> Buckets<E> {
    /// How many entries there are.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// How many bytes they take, the free places of their tables included.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |bucket: &RwLock<SummedTable<E>>| bucket.read().table.bytes();
        self.buckets.iter().map(bytes).sum()
    }

    /// What is known of an id.
    pub(super) fn get(&self, id: &Id) -> Option<E::Value> {
        if self.is_empty() {
            return None;
        }
        self.bucket_of(id).read().table.find(id).copied()
    }

    /// Puts what `merged` makes of what is known of an id in its place, under the lock of its bucket. Whether that is
    /// something else.
    pub(super) fn merge(
        &self,
        id: Id,
        sum_key: &SumKey,
        merged: impl FnOnce(Option<E::Value>) -> E::Value,
    ) -> bool {
        let mut bucket = self.bucket_of(&id).write();
        let known = bucket.table.find(&id).copied();
        let merged = merged(known);
        if known == Some(merged) {
            return false;
        }
        bucket.put(id, merged, sum_key);
        // Counted before the lock is given back: a reader that sees the count sees the id.
        if known.is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
        true
    }

    /// Drops what is over, each handed to `dropped` under the lock of its bucket. Reads all of it.
    pub(super) fn drop_ended(
        &self,
        now: UnixTime,
        sum_key: &SumKey,
        mut dropped: impl FnMut(E::Value),
    ) {
        for bucket in self.buckets.iter() {
            let mut bucket = bucket.write();
            for value in bucket.take_ended(now, sum_key) {
                self.count.fetch_sub(1, Ordering::Relaxed);
                dropped(value);
            }
        }
    }

    /// What every bucket keeps beyond a moment that is not empty; `named` is what a bucket is called.
    pub(super) fn summaries(
        &self,
        named: impl Fn(u8) -> Bucket,
        beyond: UnixTime,
        sum_key: &SumKey,
    ) -> impl Iterator<Item = Summary> {
        let buckets = (0..=u8::MAX).zip(self.buckets.iter());
        buckets.filter_map(move |(number, bucket)| {
            let bucket = bucket.read();
            bucket.summary(named(number), beyond, sum_key)
        })
    }

    /// The entries of a bucket that are kept beyond a moment, as revocations.
    pub(super) fn entries(
        &self,
        number: u8,
        beyond: UnixTime,
        revocation: impl Fn(E::Value, Id) -> Revocation,
    ) -> Vec<(Item, Revocation)> {
        let bucket = self.buckets[usize::from(number)].read();
        let kept = bucket.table.all();
        let kept = kept.filter(|(_, value)| value.until().moment() > beyond);
        kept.map(|(id, value)| (value.item(id), revocation(*value, *id)))
            .collect()
    }

    fn bucket_of(&self, id: &Id) -> &RwLock<SummedTable<E>> {
        let [.., last] = *id.bytes(); // the table inside uses the first eight
        &self.buckets[usize::from(last)]
    }
}
