//! What a route, or its shop, says of how a request is sent and its answer passed on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::compression::Compression;
use super::retries::Retries;
use super::share::Share;
use crate::request::routes::upstream_name::UpstreamName;

/// How a request is sent, and how its answer is passed on.
#[derive(Clone, Debug, Default)]
pub struct Handling {
    /// How long the server may take, where that is not as its upstream says.
    pub timeouts: RouteTimeouts,
    /// The longest body of a request, in bytes; `None`: as long as the shop takes.
    pub body_limit: Option<u64>,
    /// When a request is sent again; `None`: only if nothing of it was sent, or on a connection that had died.
    pub retries: Option<Arc<Retries>>,
    /// Where a copy goes.
    pub mirror: Option<Mirror>,
    /// Which answers are compressed; `None`: none.
    pub compression: Option<Arc<Compression>>,
}

/// How long a server may take; each `None`: as its upstream says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Until a connection is open, TLS included.
    pub connect: Option<Duration>,
    /// Between two bytes of its answer, and until the first one.
    pub read: Option<Duration>,
    /// Until it accepts more of a request.
    pub write: Option<Duration>,
}

/// Where copies of requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// To this upstream.
    pub upstream: UpstreamName,
    /// Of so many requests.
    pub rate: Share,
}

/// What is said, each behind a comma, as `check` lists it.
impl fmt::Display for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RouteTimeouts {
            connect,
            read,
            write,
        } = self.timeouts;
        for (name, timeout) in [("connect", connect), ("read", read), ("write", write)] {
            if let Some(timeout) = timeout {
                write!(f, ", {name} within {timeout:?}")?;
            }
        }
        if let Some(limit) = self.body_limit {
            write!(f, ", bodies up to {limit} bytes")?;
        }
        if let Some(retries) = &self.retries {
            write!(f, ", {retries}")?;
        }
        if let Some(Mirror { upstream, rate }) = &self.mirror {
            write!(f, ", {rate} mirrored to {upstream}")?;
        }
        if self.compression.is_some() {
            f.write_str(", compressed")?;
        }
        Ok(())
    }
}
