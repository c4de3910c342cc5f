//! Revocations between nodes: what one node knows, all of them know a moment later.

mod settings;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "what speaks over it comes next")
)]
mod transport;

pub use settings::{Ack, Bus, Certificates, ClusterSettings, NodeName, Peer, Policy, Security};
