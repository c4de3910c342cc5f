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

impl Notes {
    /// Takes in what was noted with the last transaction, at this time.
    pub(super) fn advance(&mut self, progress: &Progress, clock: UnixTime) {
        self.clock = clock;
        self.is_complete |= progress.is_complete;
        self.vector.extend(progress.reached.iter().copied());
        self.nodes.extend(progress.introduced.iter().cloned());
        for origin in &progress.forgotten {
            self.vector.remove(origin);
            self.nodes.remove(origin);
        }
        self.origin = progress.origin.unwrap_or(self.origin);
        self.stream = progress.stream.or(self.stream);
    }
}

impl Progress {
    /// Adds what is to be noted later.
    pub(in crate::revocation) fn add(&mut self, later: Self) {
        self.reached.extend(later.reached);
        self.introduced.extend(later.introduced);
        self.forgotten.extend(later.forgotten);
        self.is_complete |= later.is_complete;
        self.origin = later.origin.or(self.origin);
        self.stream = later.stream.or(self.stream);
    }
}
