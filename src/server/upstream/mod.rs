//! Where requests go: the servers of the shops.
//!
//! More than a dozen files: each thing that is known of a server has one, and each way to reach it.

mod balance;
mod busy;
mod endpoint;
mod health;
mod names;
mod peers;
mod pools;
mod probe;
mod proxy_header;
mod queue;
mod refresh;
mod retry_budget;
mod server;
mod settings;
mod socket_connector;
mod sticky;
mod tls;
mod upstreams;

pub use balance::{Balance, HashBy};
pub use endpoint::Endpoint;
pub use health::{Check, Ejection, HealthSettings, HttpCheck, Thresholds};
pub use pools::Pools;
pub(crate) use probe::ProbeCall;
pub(crate) use proxy_header::ClientEnds;
pub use proxy_header::ProxyProtocol;
pub use queue::QueueState;
pub(crate) use refresh::{await_addresses, refresh_due};
pub(crate) use server::{InFlightGuard, UpstreamServer};
pub use server::{Reached, ServerState};
pub use settings::{ServerSettings, Timeouts, UpstreamLimits, UpstreamOwner, UpstreamSettings};
pub use sticky::Sticky;
pub use tls::{UnfitTls, UpstreamTls};
pub use upstreams::Upstreams;
pub(crate) use upstreams::{NO_SERVER, QUEUE_FULL, QUEUE_TIMEOUT};
