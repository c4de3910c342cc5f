//! Where requests go: the servers of the shops.

mod balance;
mod busy;
mod endpoint;
mod handshake;
mod health;
mod names;
mod server;
mod tls;
mod upstreams;

pub use balance::{Balance, HashBy};
pub use endpoint::Endpoint;
pub use health::{Check, Ejection, Health, HttpCheck, Thresholds};
pub use server::ServerState;
pub(crate) use server::{Errand, Server};
pub use tls::{UnfitTls, UpstreamTls};
pub(crate) use upstreams::{AllUpstreams, NO_SERVER, await_addresses};
pub use upstreams::{Timeouts, UpstreamSettings, Upstreams};
