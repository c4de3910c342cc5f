//! Revocations between nodes: what one node knows, all of them know a moment later.

mod acks;
mod admission;
mod dialing;
mod frame;
mod members;
mod mesh;
mod node;
mod outbox;
mod readiness;
mod round;
mod settings;
#[cfg(test)]
mod simulation;
mod talk;
mod targets;
mod transport;

pub use acks::Acks;
pub use mesh::{Exchanged, PeerStatus};
pub use node::{Node, NodeCounts, NodeError, NodeStatus};
pub use settings::{Ack, Bus, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
pub use transport::Joins;
