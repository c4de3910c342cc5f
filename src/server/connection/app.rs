//! The way in: every connection passes it, then its requests pass the proxy, one by one.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use log::info;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use super::acceptor::Reception;
use super::revocation_watch::{Lease, within};
use super::state::Line;
use crate::request::{ALLOWED, Refusal, Refused};
use crate::server::operator::log_id::LogKey;
use crate::server::operator::metrics::Metrics;
use crate::server::proxy::answer::reply;
use crate::server::proxy::service::Proxy;
use crate::server::snapshot::Served;

/// Every connection passes it, then its requests pass the proxy.
pub(crate) struct Door {
    pub(crate) reception: Arc<Reception>,
    pub(crate) requests: Arc<Requests>,
}

/// The requests of the connections, one by one.
pub(crate) struct Requests {
    pub(crate) served: Served,
    pub(crate) proxy: Arc<HttpProxy<Proxy>>,
    pub(crate) options: HttpServerOptions,
    pub(crate) log_key: LogKey,
    pub(crate) metrics: Arc<Metrics>,
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let stream = self.reception.receive(stream)?;
        self.requests.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.requests.cleanup().await;
    }
}

#[async_trait]
impl HttpServerApp for Requests {
    /// One request, from its header block on, for as long as its tokens are good.
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() && session.req_header().method == Method::CONNECT {
            // Pingora would refuse it in words of its own, without a hook.
            let refused = Refused::by_nobody(Refusal::MethodNotAllowed { allow: ALLOWED });
            let answer = refused.answer(session.req_header());
            let _ = reply::write_unserved(&mut session, &answer).await;
            return None;
        }
        if let Some(line) = Line::of(session.digest()) {
            if session.is_http2() {
                line.multiplex();
            } else {
                line.rest();
            }
        }
        let lease = Arc::new(Lease::default());
        let served = self.proxy.process_new_http(session, shutdown);
        tokio::select! {
            biased;
            reused = within(&lease, served) => reused,
            // Dropping the exchange closes the connection, or resets the stream of HTTP/2.
            ended = lease.ended() => {
                let token = self.log_key.name(&ended.token);
                let (request, shop, cause) = (ended.request, ended.shop.name.as_str(), ended.cause.name());
                info!(request, shop, cause, token:%; "cut off");
                self.metrics.note_cut(shop);
                None
            }
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        let site = self.served.load();
        let mut options = default_h2_options();
        let header_bytes = u32::try_from(site.limits.header_bytes).unwrap_or(u32::MAX);
        options.max_header_list_size(header_bytes);
        options.max_concurrent_streams(site.limits.streams);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
