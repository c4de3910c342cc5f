//! The operator's side: metrics, readiness, records of requests, and orders on the control socket.
//!
//! More than a dozen files: each page and each order of an operator has its own.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod control_client;
pub(crate) mod control_socket;
pub(crate) mod dashboard;
pub(crate) mod decisions;
pub(crate) mod endings;
mod explain;
mod exposition;
pub(crate) mod gauges;
pub(crate) mod known_labels;
pub(crate) mod listener;
pub(crate) mod log_id;
pub(crate) mod metrics;
pub(crate) mod near_misses;
pub(crate) mod order;
mod process_stats;
mod orders;
pub(crate) mod readiness;
pub(crate) mod recorder;
pub(crate) mod status;
