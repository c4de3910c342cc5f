//! The revocations in memory.

mod buckets;
mod compact_time;
mod cutoffs;
mod dates;
mod id_tables;
mod live_set;
mod meaning;
mod summary;
mod undated;
mod windows;

pub use live_set::{Set, SetCounts};
pub use meaning::Meaning;
pub(super) use meaning::{Meanings, is_of_meaning};
pub(crate) use summary::item_of;
pub use summary::{Bucket, Item, Sum, SumKey, Summary};
pub use undated::UnverifiedCounts;
