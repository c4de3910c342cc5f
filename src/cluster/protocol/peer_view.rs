//! Another node, as far as it decides where this one stands.

use crate::revocation::{NodeName, SyncPhase};

/// Another node as it was heard last.
#[derive(Clone, Debug)]
pub(crate) struct PeerView {
    pub(crate) node: NodeName,
    pub(crate) state: SyncPhase,
    pub(crate) is_complete: bool,
    /// Where it stood when the last comparison with it began that came to its end.
    pub(crate) agreed_with: Option<SyncPhase>,
    /// How far its clock is ahead of ours.
    pub(crate) offset_ms: Option<i64>,
}
