//! Revocations between nodes: what one node knows, all of them know a moment later.

mod acks;
mod admission;
mod authority;
mod bus;
mod certificate_files;
mod dialing;
mod exchanged;
mod frame;
mod introduced;
mod invitation;
mod join;
mod joined;
mod members;
mod mesh;
mod node;
mod outbox;
mod peer_clock;
mod readiness;
mod rehearsal;
mod round;
mod settings;
#[cfg(test)]
mod simulation;
mod talk;
mod targets;
mod transport;
mod view;

pub use acks::Acks;
pub use authority::{Authority, AuthorityError, Proof};
pub use bus::{Bus, BusCounts};
pub use certificate_files::{CertificateFiles, Readers};
pub use exchanged::Exchanged;
pub use invitation::Invitation;
pub use join::{Admitted, Application, GOSSIP_PORT, JoinError};
pub use joined::joined as joined_nodes;
pub use mesh::PeerStatus;
pub use node::{Node, NodeCounts, NodeError, NodeStatus};
/// For fuzz/ alone, which has no other way to a frame.
#[doc(hidden)]
pub use rehearsal::Rehearsal;
pub use settings::{Ack, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
