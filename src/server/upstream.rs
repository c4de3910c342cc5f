//! Where a shop's requests go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, OkOrErr, OrErr, Result};

/// The servers of one shop, taken in turn.
#[derive(Debug)]
pub struct Upstreams {
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
}

/// How long a connection to a shop may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a shop may be silent in the middle of an exchange.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long an idle connection is kept for the next request. Less than most shops keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(30);

impl Endpoint {
    /// `host:port`, or with `http://` or `https://` before it; a path makes no sense here.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str =
            "an address such as 127.0.0.1:8000, shop.internal:8000 or https://shop.internal";
        let (tls, authority) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(WANTED),
            None => (false, text),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| WANTED)?;
        let standard = text.contains("://").then_some(if tls { 443 } else { 80 });
        let port = parsed.port_u16().or(standard).ok_or(WANTED)?;
        if parsed.host().is_empty() || authority.contains('@') {
            return Err(WANTED);
        }
        Ok(Self {
            host: parsed.host().trim_matches(['[', ']']).to_owned(),
            port,
            tls,
        })
    }

    /// Whether tokens travel to it over a network in the clear (RFC 6750 section 5.2).
    pub fn is_exposed(&self) -> bool {
        let local = match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        };
        !self.tls && !local
    }

    /// Its address now. A name is asked for anew by every request: the system caches as it is told to.
    async fn address(&self) -> Result<SocketAddr> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, self.port));
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut found = found.or_err(
            ErrorType::ConnectNoRoute,
            "the upstream's name can't be resolved",
        )?;
        found.next().or_err(
            ErrorType::ConnectNoRoute,
            "the upstream's name has no address",
        )
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Upstreams {
    /// These servers; there must be one.
    pub fn new(first: Endpoint, others: Vec<Endpoint>) -> Self {
        let mut endpoints = vec![first];
        endpoints.extend(others);
        Self {
            endpoints,
            next: AtomicUsize::new(0),
        }
    }

    /// The servers.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How many servers a request may be tried on.
    pub(super) fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// The next server in turn.
    pub(super) async fn next_peer(&self) -> Result<HttpPeer> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let endpoint = &self.endpoints[turn % self.endpoints.len()];
        let mut peer = HttpPeer::new(
            endpoint.address().await?,
            endpoint.tls,
            endpoint.host.clone(),
        );
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT * 2);
        peer.options.read_timeout = Some(SILENCE_MAX);
        peer.options.write_timeout = Some(SILENCE_MAX);
        peer.options.idle_timeout = Some(IDLE_MAX);
        Ok(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_as_operators_write_it() {
        let read = |text| Endpoint::parse(text).map(|endpoint| endpoint.to_string());
        assert_eq!(
            read("127.0.0.1:8000"),
            Ok("http://127.0.0.1:8000".to_owned())
        );
        assert_eq!(
            read("https://shop.internal"),
            Ok("https://shop.internal:443".to_owned())
        );
        assert_eq!(
            read("http://shop.internal/"),
            Ok("http://shop.internal:80".to_owned())
        );
        for unfit in [
            "shop.internal",
            "ftp://shop:1",
            "http://shop/path",
            "a b:1",
            ":80",
            "",
        ] {
            assert!(Endpoint::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_plain_address_on_the_network_exposes_tokens_standards_12() {
        assert!(Endpoint::parse("10.0.0.1:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("[::1]:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("https://10.0.0.1").unwrap().is_exposed());
    }
}
