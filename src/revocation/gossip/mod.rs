//! Revocations between nodes: what one node knows, all of them know a moment later.

mod acks;
mod admission;
mod bus;
mod dialing;
mod frame;
mod members;
mod mesh;
mod node;
mod outbox;
mod readiness;
mod round;
mod settings;
mod talk;
mod targets;
mod transport;

pub use acks::Acks;
pub use bus::{Bus, BusCounts};
pub use mesh::{Exchanged, PeerStatus};
pub use node::{Node, NodeCounts, NodeError, NodeStatus};
pub use settings::{Ack, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
pub use transport::Joins;
