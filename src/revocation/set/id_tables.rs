//! Tables of ids that no window holds, each with its own end: a quick one and a compact one.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap as CompactMap;

use super::compact_time::Minutes;
use super::summary::Item;
use crate::clock::UnixTime;
use crate::revocation::entry::Id;

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
