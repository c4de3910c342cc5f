//! The health of a server: active checks, and ejection after failed requests.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::{HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr, Result};

use super::endpoint::Endpoint;
use crate::server::proxy::client;

/// How the health of a shop's servers is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// How a server is checked.
    pub check: Check,
    /// How often a server is checked.
    pub interval: Duration,
    /// How long its answer may take.
    pub timeout: Duration,
    /// How many results change the state.
    pub thresholds: Thresholds,
    /// When a server is ejected because requests fail on it.
    pub ejection: Ejection,
}

/// How a server is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    None,
    /// Whether it takes a connection; with TLS, whether the handshake succeeds.
    Tcp,
    /// Whether it answers a GET.
    Http(HttpCheck),
}

/// The GET by which a server is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Its path, and a query if need be.
    pub path: PathAndQuery,
    /// Its `Host`; `None`: the server's own name and port.
    pub host: Option<HeaderValue>,
    /// The statuses that mean that all is well.
    pub expected: Vec<RangeInclusive<u16>>,
}

/// How many checks in a row change a server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// This many good ones bring it back.
    pub healthy_after: u32,
    /// This many bad ones take it out.
    pub unhealthy_after: u32,
}

/// When a server is ejected because requests fail on it, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// After this many failures in a row; 0: never.
    pub after: u32,
    /// For this long.
    pub lasts: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            check: Check::None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            thresholds: Thresholds {
                healthy_after: 2,
                unhealthy_after: 3,
            },
            ejection: Ejection {
                after: 5,
                lasts: Duration::from_secs(10),
            },
        }
    }
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            path: PathAndQuery::from_static("/"),
            host: None,
            expected: vec![200..=399],
        }
    }
}

impl HealthSettings {
    /// Checks a server once, on a new connection: an open one would hide that the server accepts no more.
    pub(super) async fn probe(
        &self,
        endpoint: &Endpoint,
        peer: &HttpPeer,
        connector: &Connector,
    ) -> Result<()> {
        let probing = async {
            match &self.check {
                Check::None => Ok(()),
                Check::Tcp => client::connect(connector, peer).await.map(drop),
                Check::Http(check) => check.probe(endpoint, peer, connector).await,
            }
        };
        let probed = tokio::time::timeout(self.timeout, probing).await;
        probed.or_err(ErrorType::ReadTimedout, "no answer in time")?
    }
}

impl HttpCheck {
    async fn probe(
        &self,
        endpoint: &Endpoint,
        peer: &HttpPeer,
        connector: &Connector,
    ) -> Result<()> {
        let path = self.path.as_str().as_bytes();
        let mut head = RequestHeader::build(Method::GET, path, Some(2))?;
        match self.host.clone() {
            Some(host) => head.insert_header(HOST, host)?,
            None => head.insert_header(HOST, endpoint.authority())?,
        }
        head.insert_header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))?;
        let mut session = client::connect(connector, peer).await?;
        client::send(&mut session, peer, head, &[]).await?;
        let status = client::read_head(&mut session).await?.status.as_u16();
        if self.expected.iter().any(|range| range.contains(&status)) {
            Ok(())
        } else {
            Err(Error::explain(
                ErrorType::HTTPStatus(status),
                "not the status of a healthy server",
            ))
        }
    }
}
