//! A customer's request, from its head to the end of its answer.
//!
//! More than a dozen files: each hook of Pingora that does more than one step has a file for them.

pub(crate) mod answer;
mod at_listener;
pub(crate) mod attempts;
pub(crate) mod body;
pub(crate) mod checks;
pub(crate) mod client;
pub(crate) mod context;
pub(crate) mod decision;
pub(crate) mod exchange;
pub(crate) mod forwarding;
pub(crate) mod handling;
mod hooks;
pub(crate) mod incoming;
pub(crate) mod hop_headers;
pub(crate) mod introspection;
mod limiting;
pub(crate) mod logout;
mod observed;
pub(crate) mod rate_limits;
pub(crate) mod recording;
pub(crate) mod request_id;
pub(crate) mod routing;
pub(crate) mod service;
pub(crate) mod single_flight;
pub(crate) mod stream;
pub(crate) mod waiting;
