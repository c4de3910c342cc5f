//! The life of a revocation: logout, journal (on disk), set (in memory), peers; only then the customer is told.

mod allowance;
mod client_network;
mod committer;
mod dating;
mod entry;
mod horizon;
mod journal;
mod meanings;
mod replication;
mod revocations;
mod room_for_unverified;
mod set;
mod unknown_counts;

pub use allowance::{Allowance, Clients, OverLimit, WIDER};
pub use client_network::ClientNetwork;
pub use committer::Health;
pub(crate) use committer::Import;
pub use entry::{
    Cause, DateKind, Group, Id, Identity, Kind, MARGIN, Revocation, ShopTag, Source,
    UNCONFIRMED_LIFE, Window,
};
pub use journal::{Contents, Journal, JournalError, Notes, Progress};
/// For fuzz/ alone, which has no other way to a single row.
#[doc(hidden)]
pub use journal::{decode_token, encode_token};
pub(crate) use replication::Found;
pub use replication::{
    Ack, Acks, History, NodeName, Origin, Received, Row, Standing, State, Vector,
};
pub use revocations::{NotDurable, Revocations};
pub(crate) use set::item_of;
pub use set::{Counts, Item, Meaning, Section, Set, Sum, SumKey, Summary, Unverified};
pub use unknown_counts::UnknownCounts;
