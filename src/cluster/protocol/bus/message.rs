//! The inputs of the bus: messages that were read from it, and events of this node's own session.

use crate::cluster::protocol::frame::Frame;
use crate::revocation::{NodeName, Origin};

/// A node's number on the bus, for one of its connections to it.
pub(crate) type SessionId = u64;

/// The sender of a message. Another session, or another origin, shares no state with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BusSender {
    pub(crate) origin: Origin,
    pub(crate) session_id: SessionId,
}

/// The receiver of a message to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BusAddress {
    pub(crate) node: NodeName,
    pub(crate) session_id: SessionId,
}

/// A message that was read from the bus.
#[derive(Clone, Debug)]
pub(crate) struct BusMessage {
    pub(crate) envelope: BusEnvelope,
    pub(crate) frame: Frame,
}

/// The sender of a message, its addressee, and its age.
#[derive(Clone, Debug)]
pub(crate) struct BusEnvelope {
    pub(crate) from: NodeName,
    pub(crate) sender: BusSender,
    /// The session that it is for; `None`: it is a broadcast.
    pub(crate) to: Option<SessionId>,
    /// How long before now it was written, in milliseconds, if that was before this node's session began.
    pub(crate) age_ms: Option<u64>,
    /// When the server numbered it, by its own time of day, in milliseconds since the epoch.
    pub(crate) server_ms: u64,
}

/// What the session of this node at the bus reports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BusEvent {
    /// A new session begins, under this number.
    SessionStarted(SessionId),
    /// Entries were ordered at `asked_ms`, by our uptime, and the server numbered the newest of them at `server_ms`.
    Written { asked_ms: u64, server_ms: u64 },
    /// Everything was read that was on the bus at this moment of our uptime.
    CaughtUp { marked_ms: u64 },
    /// Entries may be missing that this node has not read.
    EntriesLost,
    /// The session is over.
    SessionEnded,
}

/// A link by the bus that is to be opened.
pub(crate) struct BusLink {
    pub(crate) to: BusAddress,
    /// The first message on it.
    pub(crate) greeting: Frame,
}
