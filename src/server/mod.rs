//! Everything that knows Pingora.

mod connection;
mod keys;
mod operator;
mod outline;
mod process;
mod proxy;
mod reload;
mod snapshot;
mod start;
mod upstream;

pub use connection::limits::Limits;
pub use connection::tls::Certificate;
pub use operator::client::exchange;
pub use operator::control::{Order, call, call_cluster, call_meanings, order_reload};
pub use outline::Outline;
pub use process::drain::Drain;
pub use process::listen::Listen;
pub use reload::{Load, Loaded};
pub use start::{Settings, SiteSettings, StartError, run};
pub use upstream::{
    Balance, Check, Ejection, Endpoint, HashBy, Health, HttpCheck, ServerState, Thresholds,
    Timeouts, UnfitTls, UpstreamSettings, UpstreamTls, Upstreams,
};
