//! Tables of ids that no window holds, each with its own end, in buckets that two nodes compare.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap as CompactMap;
use parking_lot::RwLock;

use super::compact_time::Minutes;
use super::summary::{Bucket, Item, Sum, SumKey, Summary};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation};

/// A table whose keys are digests already.
pub(super) type IdTable<V> = CompactMap<Id, V, BuildHasherDefault<IdHasher>>;

/// What is remembered of an id that has no window.
pub(super) trait Expiring: Copy + PartialEq {
    /// Until when it is kept.
    fn until(&self) -> Minutes;

    /// All of it, as two nodes compare it.
    fn item(&self, id: &Id) -> Item;
}

/// What a bucket keeps its entries in.
pub(super) trait BucketTable: Default {
    /// What is remembered of an id.
    type Value: Expiring;

    /// What is known of an id.
    fn find(&self, id: &Id) -> Option<&Self::Value>;

    /// Puts this in the place of what is known of the id, which comes back.
    fn put(&mut self, id: Id, value: Self::Value) -> Option<Self::Value>;

    /// Takes out what is over.
    fn take_ended(&mut self, now: UnixTime) -> Vec<(Id, Self::Value)>;

    /// All of them, in no order that matters.
    fn all(&self) -> impl Iterator<Item = (&Id, &Self::Value)>;

    /// How many there are.
    fn count(&self) -> usize;

    /// How many bytes they take, free places included.
    fn bytes(&self) -> usize;
}

impl<V: Expiring> BucketTable for IdTable<V> {
    type Value = V;

    fn find(&self, id: &Id) -> Option<&V> {
        self.get(id)
    }

    fn put(&mut self, id: Id, value: V) -> Option<V> {
        self.insert(id, value)
    }

    fn take_ended(&mut self, now: UnixTime) -> Vec<(Id, V)> {
        self.extract_if(|_, value| value.until().are_over(now))
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = (&Id, &V)> {
        self.iter()
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        self.allocation_size()
    }
}

/// Entries in little more memory than they need: nearly all are sorted and stand side by side, the latest are in a table
/// until that is an eighth of them. A look-up takes longer than in a table.
pub(super) struct SortedTable<V> {
    settled: Vec<(Id, V)>,
    recent: IdTable<V>,
}

impl<V> Default for SortedTable<V> {
    fn default() -> Self {
        Self {
            settled: Vec::new(),
            recent: IdTable::default(),
        }
    }
}

impl<V: Expiring> SortedTable<V> {
    /// So many recent entries are no matter, however few there are in all.
    const RECENT_MIN: usize = 64;

    fn place_of(&self, id: &Id) -> Result<usize, usize> {
        self.settled.binary_search_by(|(known, _)| known.cmp(id))
    }

    fn settle(&mut self) {
        let mut recent: Vec<_> = std::mem::take(&mut self.recent).into_iter().collect();
        recent.sort_unstable_by_key(|(id, _)| *id);
        let mut all = Vec::with_capacity(self.settled.len() + recent.len());
        let mut recent = recent.into_iter().peekable();
        for entry in self.settled.drain(..) {
            while let Some(earlier) = recent.next_if(|(id, _)| *id < entry.0) {
                all.push(earlier);
            }
            all.push(entry);
        }
        all.extend(recent);
        self.settled = all;
    }
}

impl<V: Expiring> BucketTable for SortedTable<V> {
    type Value = V;

    fn find(&self, id: &Id) -> Option<&V> {
        let settled = || {
            let at = self.place_of(id).ok()?;
            self.settled.get(at).map(|(_, value)| value)
        };
        self.recent.get(id).or_else(settled)
    }

    fn put(&mut self, id: Id, value: V) -> Option<V> {
        if let Ok(at) = self.place_of(&id) {
            let (_, known) = self.settled.get_mut(at)?;
            return Some(std::mem::replace(known, value));
        }
        let known = self.recent.insert(id, value);
        let room = Self::RECENT_MIN.max(self.settled.len() / 8);
        if self.recent.len() > room {
            self.settle();
        }
        known
    }

    fn take_ended(&mut self, now: UnixTime) -> Vec<(Id, V)> {
        let is_over = |value: &V| value.until().are_over(now);
        let mut ended: Vec<_> = self.recent.extract_if(|_, value| is_over(value)).collect();
        let before = self.settled.len();
        self.settled.retain(|entry| {
            let is_over = is_over(&entry.1);
            if is_over {
                ended.push(*entry);
            }
            !is_over
        });
        if self.settled.len() < before {
            self.settled.shrink_to_fit();
        }
        ended
    }

    fn all(&self) -> impl Iterator<Item = (&Id, &V)> {
        let settled = self.settled.iter().map(|(id, value)| (id, value));
        settled.chain(self.recent.iter())
    }

    fn count(&self) -> usize {
        self.settled.len() + self.recent.len()
    }

    fn bytes(&self) -> usize {
        self.settled.capacity() * size_of::<(Id, V)>() + self.recent.allocation_size()
    }
}

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
        revocation: impl Fn(&E::Value, Id) -> Revocation,
    ) -> Vec<(Item, Revocation)> {
        let bucket = self.buckets[usize::from(number)].read();
        let kept = bucket.table.all();
        let kept = kept.filter(|(_, value)| value.until().moment() > beyond);
        kept.map(|(id, value)| (value.item(id), revocation(value, *id)))
            .collect()
    }

    fn bucket_of(&self, id: &Id) -> &RwLock<SummedTable<E>> {
        let [.., last] = *id.bytes(); // the table inside uses the first eight
        &self.buckets[usize::from(last)]
    }
}

/// Hashes what is already a digest by taking its first eight bytes.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        // An array writes its length first as a number (`write_length_prefix`), then its bytes.
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
