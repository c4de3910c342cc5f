//! Where requests go: the servers of the shops.

mod balance;
mod busy;
mod endpoint;
mod handshake;
mod health;
mod names;
mod pools;
mod refresh;
mod server;
mod tls;
mod upstreams;

pub use balance::{Balance, HashBy};
pub use endpoint::Endpoint;
pub use health::{Check, Ejection, HealthSettings, HttpCheck, Thresholds};
pub use pools::Pools;
pub(crate) use refresh::{await_addresses, refresh_due};
pub use server::ServerState;
pub(crate) use server::{InFlightGuard, UpstreamServer};
pub use tls::{UnfitTls, UpstreamTls};
pub(crate) use upstreams::NO_SERVER;
pub use upstreams::{Timeouts, UpstreamSettings, Upstreams};
