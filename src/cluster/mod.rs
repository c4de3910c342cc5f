//! Revocations between nodes: what one node knows, all of them know a moment later.

mod backoff;
mod bus;
mod connection;
mod dialer;
mod enrolment;
mod fuzzing;
mod node;
mod outbox;
mod peer_address;
mod protocol;
mod settings;
mod shared;
#[cfg(test)]
mod simulation;
mod transport;

pub use bus::{Bus, BusCounts, UnfitBus};
pub use enrolment::authority::{Authority, AuthorityError, Proof};
pub use enrolment::certificate_files::{CertificateFiles, Readers};
pub use enrolment::client::{Application, EnrolledNode, GOSSIP_PORT, JoinError};
pub use enrolment::invitation::Invitation;
pub use enrolment::joined_nodes::joined as joined_nodes;
/// For fuzz/ alone, which has no other way to a frame.
#[doc(hidden)]
pub use fuzzing::FuzzNode;
pub use node::{Node, NodeCounts, NodeError, NodeStatus};
pub use peer_address::PeerAddress;
pub use protocol::counters::ExchangeCounters;
pub use protocol::mesh::PeerStatus;
pub use settings::{Certificates, ClusterSettings, Security, StalePolicy};
pub use transport::{JoinStatus, UnfitCertificates};
