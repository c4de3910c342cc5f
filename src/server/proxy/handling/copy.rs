//! Copies of requests, sent to an upstream that mirrors. Their answers are read and discarded.
//!
//! Nothing of a copy delays, changes or fails the customer's own request. Copies are bounded in number and in bytes; what is over
//! that is not copied, and counted. The end of the process does not wait for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HOST;
use http::request::Parts;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::clock;
use crate::request::UpstreamName;
use crate::server::connection::revocation_watch::RevocationWatch;
use crate::server::operator::metrics::Metrics;
use crate::server::proxy::client::{self, Persistence};
use crate::server::upstream::{ClientEnds, InFlightGuard, Upstreams};

/// The longest body that is copied: as much as Pingora keeps of one.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

/// How many copies there are at once, those that wait for the rest of their body included.
const COPIES_MAX: usize = 128;

/// How long the body of a copy may take to come, how long the copy itself may take then, and how much of its answer is read. Then its
/// connection is closed.
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
    from: ClientEnds,
    /// When the request came.
    begun: Instant,
    /// Of the request itself.
    watch: Option<Arc<RevocationWatch>>,
    _permit: OwnedSemaphorePermit,
}

/// What became of a copy for which a server was found.
enum CopyOutcome {
    Answered,
    /// It was not sent: its token was revoked meanwhile.
    Revoked,
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

    /// Begins a copy of a request with this head; `from` and the customer's head will choose one of the servers that mirror.
    pub(super) fn begin(
        &self,
        to: CopyTarget,
        mut head: RequestHeader,
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
        if let Some(host) = upstreams.host() {
            head.insert_header(HOST, host.clone()).ok()?;
        }
        Some(Box::new(PendingCopy {
            head,
            body: Vec::new(),
            upstream,
            upstreams,
            from,
            begun: clock::instant(),
            watch: RevocationWatch::current(),
            _permit: permit,
        }))
    }

    /// A request is not copied.
    pub(super) fn note_left_out(&self, upstream: &UpstreamName, why: &'static str) {
        self.metrics.note_copy(upstream.as_str(), why);
    }

    /// Sends a copy that is complete to a server, if one has room at once. The caller does not wait for it.
    pub(super) fn send(self: &Arc<Self>, copy: Box<PendingCopy>, customer: &Parts) {
        let server = copy
            .upstreams
            .choose_at_once(customer, copy.from.client_ip(), &[]);
        match server {
            Ok(Some(server)) => {
                let sender = Arc::clone(self);
                tokio::spawn(async move { sender.deliver(copy, server).await });
            }
            Ok(None) => self.note_left_out(&copy.upstream, "busy"),
            Err(_) => self.note_left_out(&copy.upstream, "failed"),
        }
    }

    async fn deliver(&self, copy: Box<PendingCopy>, server: InFlightGuard) {
        let exchange = async {
            let peer = copy.upstreams.peer(server.server(), Some(copy.from))?;
            self.exchange(&peer, &copy).await
        };
        let done = timeout(TIME_MAX, exchange).await;
        let outcome = match done.unwrap_or_else(|_| Err(Error::new_up(ErrorType::ReadTimedout))) {
            Ok(CopyOutcome::Answered) => {
                copy.upstreams.note_success(server.server());
                "answered"
            }
            Ok(CopyOutcome::Revoked) => "revoked",
            Err(error) => {
                let why = error.etype().as_str();
                copy.upstreams.note_failure(server.server(), why);
                "failed"
            }
        };
        self.metrics.note_copy(copy.upstream.as_str(), outcome);
    }

    /// A token that was revoked meanwhile, while the body came or the server was connected to, reaches no server.
    async fn exchange(&self, peer: &HttpPeer, copy: &PendingCopy) -> pingora::Result<CopyOutcome> {
        let mut session = client::connect(&self.connector, peer).await?;
        if copy.is_revoked() {
            let idle = peer.idle_timeout();
            self.connector
                .release_http_session(session, peer, idle)
                .await;
            return Ok(CopyOutcome::Revoked);
        }
        let head = copy.head.clone();
        client::send_as(&mut session, peer, head, &copy.body, Persistence::Keep).await?;
        client::read_head(&mut session).await?;
        let mut length = 0;
        while let Some(part) = session.read_response_body().await? {
            length += part.len();
            if length > ANSWER_BYTES_MAX {
                return Ok(CopyOutcome::Answered); // it answers; the rest is not worth the bytes
            }
        }
        let idle = peer.idle_timeout();
        self.connector
            .release_http_session(session, peer, idle)
            .await;
        Ok(CopyOutcome::Answered)
    }
}

impl PendingCopy {
    /// The name of the upstream.
    pub(super) fn upstream(&self) -> &UpstreamName {
        &self.upstream
    }

    /// Adds a part of the body; or why the copy is given up.
    pub(super) fn add(&mut self, part: &[u8]) -> Result<(), &'static str> {
        if self.body.len() + part.len() > BODY_BYTES_MAX {
            return Err("long_body");
        }
        if clock::instant().duration_since(self.begun) > TIME_MAX {
            return Err("slow_body");
        }
        self.body.extend_from_slice(part);
        Ok(())
    }

    /// Whether a token of the request was revoked after it was judged.
    fn is_revoked(&self) -> bool {
        let watch = self.watch.as_ref();
        watch.is_some_and(|watch| watch.refusal().is_some())
    }

    /// The body is sent to the shop from its beginning once more.
    pub(super) fn begin_anew(&mut self) {
        self.body.clear();
    }
}
