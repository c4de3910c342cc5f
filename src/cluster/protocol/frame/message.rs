//! The messages of nodes.

use std::fmt;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::cluster::protocol::membership::Chain;
use crate::revocation::{Bucket, Item, NodeName, Origin, Row, Summary, SyncPhase, VersionVector};

/// The version of the protocol. A peer with another version is understood as far as the frames are.
pub(crate) const VERSION: u16 = 1;

/// How many rows travel in one frame at the most: 270 KB.
pub(crate) const ROWS_MAX: usize = 8192;

/// How many certificates of nodes travel in one frame.
pub(crate) const CHAINS_MAX: usize = 32;

/// A message from one node to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// The first message of both sides.
    Hello(Hello),
    /// A heartbeat, twice a second.
    Ping(Ping),
    /// The answer to a ping, by which both clocks are compared.
    Pong {
        /// The stamp of the ping; where it had none, the time of day in it.
        asked_ms: u64,
        /// The time of day there, in milliseconds since the epoch.
        now_ms: u64,
        /// The stamp of the answer, by the clock of the answering node; 0: an earlier version answers.
        stamp_ms: u64,
    },
    /// Rows of one origin, in their order.
    Delta {
        /// Which.
        origin: Origin,
        /// The number of the first one.
        first: u64,
        /// When the oldest of them was on the disk of the origin, as a [`Ping`]'s stamp; 0: not known.
        at_ms: u64,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Rows without a number: not on the sender's disk yet, or what the receiver was found to lack.
    Unnumbered(Vec<Row>),
    /// Everything of the receiver's own up to this number is in force here.
    Ack {
        /// Which origin the receiver was when it sent that.
        origin: Origin,
        /// The number.
        reached: u64,
    },
    /// A request for rows of an origin.
    RequestRows {
        /// Which.
        origin: Origin,
        /// After this number.
        after: u64,
    },
    /// The sender's replication log does not reach back far enough: the receiver is to compare sets with it.
    CompareSets,
    /// A step of a comparison of two sets.
    Reconcile {
        /// The number of the comparison, counted by the node that began it.
        number: u32,
        /// Which step.
        step: ReconcileStep,
    },
    /// The last message of a connection.
    Goodbye(Goodbye),
    /// The certificates of nodes: of the sender first, then of those that it knows.
    Certificates(Vec<Chain>),
}

/// The steps of a comparison of two sets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ReconcileStep {
    /// The receiver is to compare this with its set.
    Summaries {
        /// Only what is kept beyond this moment.
        beyond: UnixTime,
        /// What the sender holds.
        summaries: Vec<Summary>,
    },
    /// These buckets are not the same.
    Differences {
        /// What the sender knew when it compared.
        vector: VersionVector,
        /// The buckets in which the two differ, as the sender has them; empty ones are there, too.
        summaries: Vec<Summary>,
    },
    /// A request for all of a bucket.
    SendAll {
        /// Which bucket.
        bucket: Bucket,
    },
    /// A message of negentropy about one bucket.
    Negotiate {
        /// Which bucket.
        bucket: Bucket,
        /// In negentropy's own bytes.
        message: Bytes,
    },
    /// A request for some entries of a bucket.
    Fetch {
        /// Which bucket.
        bucket: Bucket,
        /// Which entries.
        items: Vec<Item>,
    },
    /// The requested rows of a bucket.
    Rows {
        /// Which bucket.
        bucket: Bucket,
        /// The rows.
        rows: Vec<Row>,
        /// Whether there are no more.
        is_last: bool,
    },
}

/// The greeting of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hello {
    /// The sender's version of the protocol.
    pub(crate) version: u16,
    /// What it is called.
    pub(crate) node: NodeName,
    /// Which origin it is.
    pub(crate) origin: Origin,
    /// Where it stands, and what it knows.
    pub(crate) ping: Ping,
}

/// A heartbeat: the state and the knowledge of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ping {
    /// The time of day there, in milliseconds since the epoch.
    pub(crate) now_ms: u64,
    /// When the ping was made, in milliseconds of a clock that never goes back: on a connection the sender's uptime; on
    /// the bus the time of its server, which is later rather than earlier than the stamp. 0: an earlier version does
    /// not state it, and what it knows is never young.
    pub(crate) stamp_ms: u64,
    /// Where it stands.
    pub(crate) state: SyncPhase,
    /// Whether its journal was ever known to be complete.
    pub(crate) is_complete: bool,
    /// What it knows of every origin.
    pub(crate) vector: VersionVector,
    /// The other nodes that it knows, and until how long ago it knows what they did.
    pub(crate) heartbeats: Vec<Heartbeat>,
}

/// Until when a node's work is known to the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// Which.
    pub(crate) node: NodeName,
    /// How long ago, in milliseconds.
    pub(crate) ago_ms: u32,
    /// It said goodbye then.
    pub(crate) has_left: bool,
}

/// Why a node hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// It stops.
    Leaving,
    /// There is another connection between the two.
    Duplicate,
    /// It is the same node.
    Myself,
    /// The receiver is in quarantine, or may not be a peer.
    Quarantine,
}

/// The bytes are no valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidFrame(pub(crate) &'static str);

impl std::error::Error for InvalidFrame {}

impl fmt::Display for InvalidFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame that can't be read: {}", self.0)
    }
}

impl Frame {
    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Delta { rows, .. } | Self::Unnumbered(rows) => rows.len() * Row::BYTES,
            Self::Reconcile { step, .. } => step.bytes(),
            Self::Certificates(chains) => chains.iter().flatten().map(Bytes::len).sum(),
            Self::Hello(_)
            | Self::Ping(_)
            | Self::Pong { .. }
            | Self::Ack { .. }
            | Self::RequestRows { .. }
            | Self::CompareSets
            | Self::Goodbye(_) => 0,
        }
    }

    /// The number of the last of its rows; `None`: it has none, or they have none.
    pub(crate) fn last_number(&self) -> Option<u64> {
        if let Self::Delta { first, rows, .. } = self
            && !rows.is_empty()
        {
            return Some(first.saturating_add(rows.len() as u64) - 1);
        }
        None
    }
}

impl ReconcileStep {
    fn bytes(&self) -> usize {
        match self {
            Self::Summaries { summaries, .. } | Self::Differences { summaries, .. } => {
                summaries.len() * size_of::<Summary>()
            }
            Self::SendAll { .. } => 0,
            Self::Negotiate { message, .. } => message.len(),
            Self::Fetch { items, .. } => items.len() * size_of::<Item>(),
            Self::Rows { rows, .. } => rows.len() * Row::BYTES,
        }
    }
}

impl Goodbye {
    /// A peer that hangs up for an unknown reason does not stop: it is still expected.
    pub(super) fn from_number(number: u8) -> Self {
        let known = [Self::Leaving, Self::Duplicate, Self::Myself];
        let of = |one: &Self| *one as u8 == number;
        known.into_iter().find(of).unwrap_or(Self::Quarantine)
    }
}
