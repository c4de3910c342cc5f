//! The inputs and outputs of the mesh: clock readings, and steps to be carried out.

use crate::clock::UnixTime;
use crate::cluster::protocol::bus::BusLink;
use crate::cluster::protocol::frame::Frame;
use crate::revocation::{Import, NodeName, Origin};

/// A connection's number in this process.
pub(crate) type LinkId = u64;

/// What both clocks of this machine say, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since some moment; it never goes back, and it goes on while the machine sleeps.
    pub(crate) uptime_ms: u64,
    /// Since the epoch.
    pub(crate) wall_ms: u64,
}

impl Now {
    pub(crate) fn wall(self) -> UnixTime {
        UnixTime::from_seconds(self.wall_ms / 1_000)
    }
}

/// What is to be done after a message or a tick.
#[derive(Default)]
pub(crate) struct Steps {
    /// A link by the bus that is to be opened, before everything else.
    pub(crate) opens: Option<(LinkId, BusLink)>,
    /// To be sent, in this order.
    pub(crate) frames: Vec<(LinkId, Frame)>,
    /// To be hung up on, after the frames.
    pub(crate) closes: Vec<(LinkId, String)>,
    /// To be written; it is in force already.
    pub(crate) imports: Vec<Import>,
    /// This peer is connected; this node's own rows after that number are sent to it.
    pub(crate) joined: Option<(LinkId, NodeName, u64)>,
    /// A node has this node's own rows up to this number.
    pub(crate) acked: Option<(NodeName, Origin, u64)>,
    /// This node's numbers can't be relied upon: it is to be another origin.
    pub(crate) must_renew: bool,
    /// This node's own rows after that number are to be written to the bus again.
    pub(crate) publish_after: Option<u64>,
    /// For how long this link is not to be read, in milliseconds.
    pub(crate) pause_ms: u64,
    /// How long what has come took from the disk of the node that took it, in milliseconds.
    pub(crate) propagation_ms: Option<u64>,
}
