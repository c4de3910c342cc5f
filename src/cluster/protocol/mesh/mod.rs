//! The mesh: what a node does with the messages of others. It has no socket, clock or disk, so that it can be simulated.

mod bus;
mod comparison;
mod replication;
mod session;
mod state;
mod status;
mod steps;

pub(crate) use state::Mesh;
pub use status::PeerStatus;
pub(crate) use steps::{LinkId, Now, Steps};
