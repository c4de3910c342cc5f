//! What a node does with what others say: no socket, no clock and no disk, so that it can be played through.

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
