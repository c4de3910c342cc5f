//! Upstreams: the servers of a shop, and `[[upstream]]`, those that have a name.

mod named;
mod servers;
mod settings;

pub(crate) use named::{NamedUpstreams, read};
pub(crate) use settings::{UpstreamKeys, WAITS, cookie_name, read_settings};
