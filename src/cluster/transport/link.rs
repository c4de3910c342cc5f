//! A connection with another node, as the rest of the cluster sees it.

use std::net::SocketAddr;

use super::frames::{Receiver, Sender};
use crate::revocation::NodeName;

/// A connection with another node. Dropping both halves closes it.
#[derive(Debug)]
pub(crate) struct Link {
    /// The names in its certificate, which was verified: at least one; none without TLS only.
    pub(crate) names: Vec<NodeName>,
    /// The address of the other node.
    pub(crate) remote: SocketAddr,
    /// Whether this node opened it.
    pub(crate) is_dialed: bool,
    /// Sends frames.
    pub(crate) sender: Sender,
    /// Receives frames.
    pub(crate) receiver: Receiver,
}
