//! Another node, as far as it decides where this one stands.

use super::settings::NodeName;
use crate::revocation::State;

/// Another node as it was heard last.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) node: NodeName,
    pub(super) state: State,
    pub(super) is_complete: bool,
    /// Where it stood when the last comparison with it began that came to its end.
    pub(super) agreed_with: Option<State>,
    /// How far its clock is ahead of ours.
    pub(super) offset_ms: Option<i64>,
}
