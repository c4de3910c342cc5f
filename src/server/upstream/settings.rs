//! The settings of the servers of a shop, or of an upstream that has a name.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

use super::balance::Balance;
use super::endpoint::Endpoint;
use super::health::HealthSettings;
use super::proxy_header::ProxyProtocol;
use super::sticky::Sticky;
use super::tls::UpstreamTls;
use crate::request::UpstreamName;

/// The settings of a shop's servers.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Whose they are, for the log.
    pub owner: UpstreamOwner,
    /// Its servers; there is one at least that is no backup.
    pub servers: Vec<ServerSettings>,
    /// The `Host` header of requests to them; `None`: the customer's.
    pub host: Option<HeaderValue>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// How a client stays with the server that it was given; `None`: every request is spread.
    pub sticky: Option<Sticky>,
    /// For how long the share of a server rises that has come back; `None`: it has its share at once.
    pub slow_start: Option<Duration>,
    /// How many requests each may have in flight; `None`: any number.
    pub limits: Option<UpstreamLimits>,
    /// How their health is watched.
    pub health: HealthSettings,
    /// How long they may take.
    pub timeouts: Timeouts,
    /// How TLS is spoken to those that speak it.
    pub tls: UpstreamTls,
    /// Whether to use HTTP/2: with TLS if the server offers it, in the clear by prior knowledge (RFC 9113
    /// section 3.3). gRPC needs it.
    pub http2: bool,
    /// Whether each connection begins with a header that says where its client is.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How often names are resolved. The system's resolver, which reads `/etc/hosts` and search lists, does not return
    /// a time to live. A change of DNS takes effect within this time.
    pub resolve_every: Duration,
}

/// Whose servers they are.
#[derive(Clone, Debug)]
pub enum UpstreamOwner {
    /// The shop of this name.
    Shop(String),
    /// The upstream of this name, to which several shops may lead.
    Upstream(UpstreamName),
}

impl UpstreamOwner {
    /// The name of the shop, and that of the upstream, of which there is one: as in metrics.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Shop(name) => (Some(name), None),
            Self::Upstream(name) => (None, Some(name.as_str())),
        }
    }
}

/// One server as the operator wrote it. Every address of a name has this weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its share of the requests, beside those of the others.
    pub weight: u32,
    /// Whether it gets requests only while no other server is available.
    pub is_backup: bool,
}

/// How many requests each server may have in flight, and how many wait until one of them has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// In flight on each address of a server.
    pub connections: usize,
    /// How many wait, for all servers together.
    pub queue: usize,
    /// How long each waits.
    pub queue_timeout: Duration,
}

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is open, TLS included.
    pub connect: Duration,
    /// Between two bytes of its answer, and until the first one.
    pub silence: Duration,
    /// Until it accepts more of a request.
    pub write: Duration,
    /// How long an idle connection is kept for the next request. Less than most shops keep theirs.
    pub idle: Duration,
}

impl UpstreamSettings {
    /// Separates connections under these settings from those under others: Pingora's pool does not distinguish by which
    /// authorities a server was verified.
    pub(super) fn pool_key(&self) -> u64 {
        let mut digest = self.tls.digest();
        digest.update(&[u8::from(self.http2)]);
        key_of(&digest)
    }
}

/// The first bytes of a digest, as a key of Pingora's pool.
pub(super) fn key_of(digest: &blake3::Hasher) -> u64 {
    let mut first_bytes = [0; size_of::<u64>()];
    digest.finalize_xof().fill(&mut first_bytes);
    u64::from_le_bytes(first_bytes)
}

impl From<Endpoint> for ServerSettings {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            weight: 1,
            is_backup: false,
        }
    }
}

impl fmt::Display for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)?;
        match (self.weight, self.is_backup) {
            (1, false) => Ok(()),
            (1, true) => f.write_str(" (backup)"),
            (weight, false) => write!(f, " (weight {weight})"),
            (weight, true) => write!(f, " (backup, weight {weight})"),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_mins(1),
            write: Duration::from_mins(1),
            idle: Duration::from_secs(30),
        }
    }
}
