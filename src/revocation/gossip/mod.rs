//! Revocations between nodes: what one node knows, all of them know a moment later.

mod settings;

pub use settings::{Ack, Bus, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
