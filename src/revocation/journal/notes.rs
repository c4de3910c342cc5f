//! What the journal says beside the revocations.

use std::collections::BTreeMap;

use crate::clock::UnixTime;
use crate::revocation::replication::{Origin, VersionVector};

/// What the journal says beside the revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// Which origin this node is.
    pub origin: Origin,
    /// How much of every origin's work is in the journal: of this node's own, and of those in `nodes`.
    pub vector: VersionVector,
    /// Which node introduced itself as which origin.
    pub nodes: BTreeMap<Origin, String>,
    /// Whether it was ever known to hold everything that was in force: a new one says nothing yet.
    pub is_complete: bool,
    /// The latest time that was seen when something was written.
    pub clock: UnixTime,
    /// What ended before this moment may have been dropped.
    pub dropped: UnixTime,
    /// The last entry of the nodes' shared stream that was read; `None`: none ever was.
    pub stream: Option<(u64, u64)>,
}

/// What is noted together with revocations, in the same transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything of these origins up to these numbers is in the journal now.
    pub reached: Vec<(Origin, u64)>,
    /// These origins are those of the nodes with these names.
    pub introduced: Vec<(Origin, String)>,
    /// These origins are counted no more; what they revoked stays.
    pub forgotten: Vec<Origin>,
    /// The journal holds everything that is in force.
    pub is_complete: bool,
    /// This node is another origin from now on.
    pub origin: Option<Origin>,
    /// Everything in the nodes' shared stream up to this entry is in the journal now.
    pub stream: Option<(u64, u64)>,
}
