//! The PROXY protocol on connections of customers: its header, and those that are unfit.

mod fuzzing;
mod header;
mod log;

pub use fuzzing::read_proxy_header;
pub(crate) use header::{UnfitProxyHeader, read};
pub(crate) use log::ProxyHeaderLog;
