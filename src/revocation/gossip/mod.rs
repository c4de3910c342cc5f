//! Revocations between nodes: what one node knows, all of them know a moment later.

mod acks;
mod admission;
mod frame;
mod members;
mod mesh;
mod readiness;
mod round;
mod settings;
mod talk;
mod targets;
mod transport;

pub use acks::Acks;
pub use mesh::{Exchanged, PeerStatus};
pub use settings::{Ack, Bus, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
