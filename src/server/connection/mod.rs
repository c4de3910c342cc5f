//! The customers' connections: how many there may be, how their requests arrive, and when one is ended early.

mod farewell;
mod head;
mod lease;
mod line;
mod pace;
mod slots;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use log::{debug, info};
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::PreTlsProcess;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, Stream};
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType};
use pingora_proxy::HttpProxy;

pub(super) use lease::{Lease, Terms};
pub(super) use line::Line;
pub(super) use slots::Slots;

use super::log_id::LogKey;
use super::metrics::Metrics;
use super::proxy::Proxy;
use super::site::Served;
use super::traffic::Traffic;
use watched::Watched;

/// Where connections come in.
pub(super) struct Reception {
    pub(super) served: Served,
    pub(super) slots: Arc<Slots>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traffic: Arc<Traffic>,
}

/// Every connection passes it, then its requests pass the proxy.
pub(super) struct Door {
    pub(super) reception: Arc<Reception>,
    pub(super) requests: Arc<Requests>,
}

/// The requests of the connections, one by one.
pub(super) struct Requests {
    pub(super) served: Served,
    pub(super) proxy: Arc<HttpProxy<Proxy>>,
    pub(super) options: HttpServerOptions,
    pub(super) log_key: LogKey,
    pub(super) metrics: Arc<Metrics>,
}

impl Reception {
    /// Gives a connection a place, if there is one.
    fn admit(&self, peer: Option<SocketAddr>) -> pingora::Result<ProxyDigest> {
        let site = self.served.load();
        let seat = peer.and_then(|peer| self.slots.seat(peer));
        let client = peer.map(|peer| peer.ip().to_canonical());
        let counted = client.filter(|client| !site.forwarding.trusts(*client));
        let place = seat.map_or_else(|| self.slots.take(counted, &site.limits), Ok);
        match place {
            Ok(slot) => Line::with(slot, self.traffic.newcomer(), Arc::clone(&self.metrics)),
            Err(full) => {
                let limit = full.name();
                self.metrics.note_limit(limit);
                debug!(limit; "a connection is turned away");
                Err(Error::explain(ErrorType::ConnectRefused, limit))
            }
        }
    }
}

fn peer_of(stream: &(impl GetSocketDigest + ?Sized)) -> Option<SocketAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().copied()
}

/// Before the handshake: a client that never finishes one holds a place too.
#[async_trait]
impl PreTlsProcess for Reception {
    async fn process(&self, socket: &mut Socket) -> pingora::Result<()> {
        let digest = self.admit(peer_of(socket))?;
        socket.set_proxy_digest(digest);
        Ok(())
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let digest = match stream.get_proxy_digest() {
            Some(digest) => digest,
            None => Arc::new(self.reception.admit(peer_of(&*stream)).ok()?),
        };
        let site = self.reception.served.load_full();
        let metrics = Arc::clone(&self.reception.metrics);
        let watched = Watched::new(stream, digest, &site.limits, metrics)?;
        self.requests.process_new(Box::new(watched), shutdown).await
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
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
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
            reused = lease::within(&lease, served) => reused,
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
