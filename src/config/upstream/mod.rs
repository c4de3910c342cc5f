//! Upstreams: the servers of a shop, and `[[upstream]]`, those that have a name.

mod named;
mod servers;
mod settings;
mod sticky;

pub(crate) use named::{NamedUpstreams, read};
pub(crate) use settings::{UpstreamKeys, WAITS, read_settings};
