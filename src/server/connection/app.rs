//! The public service: accepts a connection, then passes its requests to the proxy.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, Method};
use log::info;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use super::acceptor::ConnectionAcceptor;
use super::revocation_watch::{RevocationWatch, watched_by};
use super::state::ConnectionState;
use super::unread::{UnreadRequest, UnreadRequests};
use crate::clients::Peer;
use crate::request::{ALLOWED, Refusal, Refused};
use crate::server::operator::log_id::LogKey;
use crate::server::operator::metrics::Metrics;
use crate::server::proxy::answer::reply;
use crate::server::proxy::answer::request_id::X_REQUEST_ID;
use crate::server::proxy::service::Proxy;
use crate::server::snapshot::SharedSnapshot;

/// The service that Pingora runs for each connection.
pub(crate) struct ConnectionApp {
    pub(crate) acceptor: Arc<ConnectionAcceptor>,
    pub(crate) requests: Arc<RequestApp>,
}

/// The requests of the connections.
pub(crate) struct RequestApp {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) proxy: Arc<HttpProxy<Proxy>>,
    pub(crate) options: HttpServerOptions,
    pub(crate) log_key: LogKey,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) unread: UnreadRequests,
}

impl RequestApp {
    /// Takes down a CONNECT over HTTP/2. Returns its id.
    fn note_connect(&self, session: &ServerSession, refusal: Refusal) -> String {
        let state = ConnectionState::of_session(session.digest());
        let peer = state.map_or(Peer::Unix, |state| state.peer());
        let request = UnreadRequest {
            is_encrypted: session
                .digest()
                .is_some_and(|digest| digest.ssl_digest.is_some()),
            method: "CONNECT",
            protocol: "HTTP/2.0",
            status: Some(refusal.status().as_u16()),
            error: None,
        };
        self.unread.note(peer, refusal, request)
    }
}

#[async_trait]
impl ServerApp for ConnectionApp {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let stream = self.acceptor.accept(stream).await?;
        self.requests.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.requests.cleanup().await;
    }
}

#[async_trait]
impl HttpServerApp for RequestApp {
    /// One request, from its header block on, until one of its tokens is revoked.
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() && session.req_header().method == Method::CONNECT {
            // Pingora would refuse it with its own answer, without a hook.
            let refusal = Refusal::MethodNotAllowed { allow: ALLOWED };
            let mut answer = Refused::without_shop(refusal).answer(session.req_header());
            let id = self.note_connect(&session, refusal);
            if let Ok(id) = HeaderValue::from_str(&id) {
                answer.headers.insert(X_REQUEST_ID, id);
            }
            let _ = reply::write_unserved(&mut session, &answer).await;
            return None;
        }
        if let Some(state) = ConnectionState::of_session(session.digest()) {
            if session.is_http2() {
                state.multiplex();
            } else {
                state.become_idle();
            }
        }
        let watch = Arc::new(RevocationWatch::default());
        let served = self.proxy.process_new_http(session, shutdown);
        tokio::select! {
            biased;
            reused = watched_by(&watch, served) => reused,
            // Dropping the exchange closes the connection, or resets the stream of HTTP/2.
            revoked = watch.revoked() => {
                let token = self.log_key.name(&revoked.token);
                let (request, shop, cause) = (revoked.request, revoked.shop.name.as_str(), revoked.cause.name());
                info!(request, shop, cause, token:%; "cut off");
                self.metrics.note_cut(shop);
                None
            }
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        let snapshot = self.snapshot.load();
        let mut options = default_h2_options();
        let header_bytes = u32::try_from(snapshot.limits.header_bytes).unwrap_or(u32::MAX);
        options.max_header_list_size(header_bytes);
        options.max_concurrent_streams(snapshot.limits.streams);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
