//! Parts of the set that two nodes compare: what differs is found without sending what does not.

use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Revocation, Window};

/// A part of the set. Every revocation has its place in exactly one, the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// The tokens of one window.
    Window(Window),
    /// The ids that have no window and end with that byte.
    Undated(u8),
    /// The cutoffs whose ids end with that byte.
    Cutoffs(u8),
    /// The dates of one kind whose ids end with that byte.
    Dates(DateKind, u8),
}

/// What a bucket holds, in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which bucket.
    pub bucket: Bucket,
    /// How many entries.
    pub count: u64,
    /// The sum of the keyed digests of all entries, in two halves that carry nothing over: the same for the
    /// same entries, in whatever order they came.
    pub sum: Sum,
    /// Until when a window is kept; not compared, the later one counts.
    pub until: UnixTime,
}

/// A sum of digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub u64, pub u64);

impl Sum {
    pub(super) fn add(&mut self, share: Self) {
        self.0 = self.0.wrapping_add(share.0);
        self.1 = self.1.wrapping_add(share.1);
    }

    pub(super) fn subtract(&mut self, share: Self) {
        self.0 = self.0.wrapping_sub(share.0);
        self.1 = self.1.wrapping_sub(share.1);
    }
}

/// An entry as far as two nodes can differ in it: 32 bytes. For a window's token its id, for an undated one its
/// end too, for a cutoff and a date both of their moments; the rest is zero.
pub type Item = [u8; 32];

/// The item of an id and up to two moments.
pub(super) fn item(id: &Id, first: UnixTime, second: UnixTime) -> Item {
    let mut item = [0; 32];
    item[..16].copy_from_slice(id.bytes());
    item[16..24].copy_from_slice(&first.seconds().to_le_bytes());
    item[24..].copy_from_slice(&second.seconds().to_le_bytes());
    item
}

/// The item of a revocation as a set holds it.
pub(crate) fn item_of(revocation: &Revocation) -> Item {
    let none = UnixTime::EPOCH;
    match revocation {
        Revocation::Token {
            id, window, until, ..
        } if *window == Window::UNDATED => item(id, *until, none),
        Revocation::Token { id, .. } => item(id, none, none),
        Revocation::Cutoff {
            id,
            not_before,
            until,
        } => item(id, *not_before, *until),
        Revocation::Date {
            id, at_ms, until, ..
        } => item(id, UnixTime::from_seconds(*at_ms), *until),
    }
}

/// The key under which a cluster's sets are summed up: without it, two sets that differ can't be made to look alike.
#[derive(Clone, Copy, Default)]
pub struct SumKey([u8; 32]);

impl SumKey {
    /// The key of all nodes that have this text, for instance the certificate of the cluster's authority.
    pub fn derive(text: &[u8]) -> Self {
        Self(blake3::derive_key(
            "doorward 2026-11 sums of revocations",
            text,
        ))
    }

    /// What one item adds to a sum.
    pub(super) fn share(&self, item: &Item) -> Sum {
        let hash = blake3::keyed_hash(&self.0, item);
        let half = |from: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&hash.as_bytes()[from..from + 8]);
            u64::from_le_bytes(half)
        };
        Sum(half(0), half(8))
    }
}
