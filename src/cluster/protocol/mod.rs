//! The protocol of nodes, without socket, clock or disk.

pub(crate) mod bus;
pub(crate) mod counters;
mod discovery;
mod failure_detector;
pub(crate) mod frame;
mod limits;
pub(crate) mod membership;
pub(crate) mod mesh;
pub(crate) mod peer_clock;
pub(crate) mod peer_session;
mod peer_view;
pub(crate) mod readiness;
mod reconciliation;
