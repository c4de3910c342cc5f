//! The revocations in memory.

mod buckets;
mod dates;
mod live_set;
mod meaning;
mod summary;

pub use live_set::{Counts, Set, Unverified};
pub use meaning::Meaning;
pub(super) use meaning::{Meanings, is_of_meaning};
pub use summary::{Item, Section, Sum, SumKey, Summary, item_of};
