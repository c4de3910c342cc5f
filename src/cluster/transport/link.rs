//! A connection with another node, as the rest of the cluster sees it.

use std::net::SocketAddr;

use super::frames::{Receiver, Sender};
use crate::revocation::NodeName;

/// A connection with another node. Dropping both halves closes it.
#[derive(Debug)]
pub(crate) struct Link {
    /// What its certificate calls it, which was verified: at least one name; none in plain text only.
    pub(crate) names: Vec<NodeName>,
    /// Where it is, or comes from.
    pub(crate) remote: SocketAddr,
    /// Whether we called it.
    pub(crate) is_dialed: bool,
    /// What it is told.
    pub(crate) sender: Sender,
    /// What it tells.
    pub(crate) receiver: Receiver,
}
