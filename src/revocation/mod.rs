//! The life of a revocation: logout, journal (on disk), set (in memory), peers; only then the answer to the customer.
//!
//! `entry` says what is remembered, and `revocations` in which order it comes into force; they use the `committer`, which
//! writes to the `journal` and the `set`. `replication` is what other nodes must know.

mod backup;
mod committer;
mod dating;
mod entry;
mod horizon;
mod identity;
mod journal;
mod journal_health;
mod listing;
mod meanings;
mod replication;
mod revocations;
mod set;
mod snapshot;

pub use backup::{BackupHeader, BackupWriter, UnfitBackup, read_backup};
pub(crate) use committer::Import;
pub use dating::UnknownCounts;
pub use entry::{
    DateKind, Id, IdKind, MARGIN, Portion, Revocation, ShopTag, Source, UNCONFIRMED_LIFE, Window,
};
pub use identity::{Cause, Group, Identity};
pub use journal::{Contents, Journal, JournalError, Notes, Progress};
pub use journal_health::JournalHealth;
pub(crate) use replication::SyncFinding;
pub use replication::{
    AckPolicy, Acks, NodeName, Origin, ReceivedRows, ReplicationLog, Row, SyncPhase, SyncState,
    VersionVector,
};
pub use revocations::{NotDurable, Revocations};
pub(crate) use set::item_of;
pub use set::{Bucket, Item, Meaning, Set, SetCounts, Sum, SumKey, Summary, UnverifiedCounts};
pub(crate) use snapshot::RevocationSnapshot;
