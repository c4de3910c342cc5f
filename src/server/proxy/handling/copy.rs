//! Copies of requests, sent to an upstream that mirrors. Their answers are read and discarded.
//!
//! Nothing of a copy delays, changes or fails the customer's own request. Copies are bounded in number and in bytes; what is over
//! that is not copied, and counted. The end of the process does not wait for them.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::request::UpstreamName;
use crate::server::operator::metrics::Metrics;
use crate::server::proxy::client::{self, Persistence};
use crate::server::upstream::{ClientEnds, InFlightGuard, Upstreams};

/// The longest body that is copied: as much as Pingora keeps of one.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

/// How many copies there are at once, those that wait for the rest of their body included.
const COPIES_MAX: usize = 128;

/// How long a copy may take, and how much of its answer is read. Then its connection is closed.
const TIME_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends copies.
pub(crate) struct CopySender {
    connector: Connector,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Whether a copy of a request goes elsewhere.
pub(crate) enum CopyState {
    /// None does, or it is on its way.
    Unwanted,
    /// One may: the request is judged, and neither ends nor issues tokens.
    Wanted,
    /// One is begun, and waits for the rest of the body.
    Begun(Box<PendingCopy>),
}

/// A copy whose body may still be on its way here.
pub(crate) struct PendingCopy {
    head: RequestHeader,
    body: Vec<u8>,
    upstream: UpstreamName,
    upstreams: Arc<Upstreams>,
    server: InFlightGuard,
    from: ClientEnds,
    _permit: OwnedSemaphorePermit,
}

/// Where a copy goes.
pub(super) struct CopyTarget {
    /// The name of the upstream.
    pub(super) upstream: UpstreamName,
    /// Its servers.
    pub(super) upstreams: Arc<Upstreams>,
}

impl CopySender {
    /// No copy yet. The connections are its own, so that a logout never gets one that was used before.
    pub(crate) fn counting(metrics: Arc<Metrics>) -> Self {
        Self {
            connector: Connector::new(None),
            permits: Arc::new(Semaphore::new(COPIES_MAX)),
            metrics,
        }
    }

    /// Begins a copy of a request with this head for the server; `customer` and `from` choose one of the servers that mirror.
    pub(super) fn begin(
        &self,
        to: CopyTarget,
        mut head: RequestHeader,
        customer: &Parts,
        from: ClientEnds,
    ) -> Option<Box<PendingCopy>> {
        let CopyTarget {
            upstream,
            upstreams,
        } = to;
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.note_left_out(&upstream, "busy");
            return None;
        };
        let server = match upstreams.choose_at_once(customer, from.client_ip(), &[]) {
            Ok(Some(server)) => server,
            Ok(None) => {
                self.note_left_out(&upstream, "busy");
                return None;
            }
            Err(_) => {
                self.note_left_out(&upstream, "failed");
                return None;
            }
        };
        if let Some(host) = upstreams.host() {
            head.insert_header(HOST, host.clone()).ok()?;
        }
        Some(Box::new(PendingCopy {
            head,
            body: Vec::new(),
            upstream,
            upstreams,
            server,
            from,
            _permit: permit,
        }))
    }

    /// A request is not copied.
    pub(super) fn note_left_out(&self, upstream: &UpstreamName, why: &'static str) {
        self.metrics.note_copy(upstream.as_str(), why);
    }

    /// Sends a copy that is complete. The caller does not wait for it.
    pub(super) fn send(self: &Arc<Self>, copy: Box<PendingCopy>) {
        let sender = Arc::clone(self);
        tokio::spawn(async move { sender.deliver(copy).await });
    }

    async fn deliver(&self, copy: Box<PendingCopy>) {
        let PendingCopy {
            head,
            body,
            upstream,
            upstreams,
            server,
            from,
            _permit: permit,
        } = *copy;
        let exchange = async {
            let peer = upstreams.peer(server.server(), Some(from))?;
            self.exchange(&peer, head, &body).await
        };
        let done = timeout(TIME_MAX, exchange).await;
        match done.unwrap_or_else(|_| Err(Error::new_up(ErrorType::ReadTimedout))) {
            Ok(()) => {
                upstreams.note_success(server.server());
                self.metrics.note_copy(upstream.as_str(), "answered");
            }
            Err(error) => {
                upstreams.note_failure(server.server(), error.etype().as_str());
                self.metrics.note_copy(upstream.as_str(), "failed");
            }
        }
        drop(permit);
    }

    async fn exchange(&self, peer: &HttpPeer, head: RequestHeader, body: &[u8]) -> Result<()> {
        let mut session = client::connect(&self.connector, peer).await?;
        client::send_as(&mut session, peer, head, body, Persistence::Keep).await?;
        client::read_head(&mut session).await?;
        let mut length = 0;
        while let Some(part) = session.read_response_body().await? {
            length += part.len();
            if length > ANSWER_BYTES_MAX {
                return Ok(()); // it answers; the rest is not worth the bytes
            }
        }
        let idle = peer.idle_timeout();
        self.connector
            .release_http_session(session, peer, idle)
            .await;
        Ok(())
    }
}

impl PendingCopy {
    /// The name of the upstream.
    pub(super) fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    /// Adds a part of the body. Returns whether it is not too long.
    pub(super) fn add(&mut self, part: &[u8]) -> bool {
        let fits = self.body.len() + part.len() <= BODY_BYTES_MAX;
        if fits {
            self.body.extend_from_slice(part);
        }
        fits
    }

    /// The body is sent to the shop from its beginning once more.
    pub(super) fn begin_anew(&mut self) {
        self.body.clear();
    }
}
