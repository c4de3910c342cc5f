//! The operator's side: metrics, readiness, and orders on the control socket.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod control_client;
pub(crate) mod control_socket;
pub(crate) mod gauges;
pub(crate) mod listener;
pub(crate) mod log_id;
pub(crate) mod metrics;
pub(crate) mod near_misses;
pub(crate) mod order;
pub(crate) mod readiness;
