//! The acceptor of customers' connections: each needs a permit, then its stream is watched.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use log::debug;
use pingora::listeners::PreTlsProcess;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, Stream};
use pingora::{Error, ErrorType};

use super::limiter::ConnectionLimiter;
use super::listener::ListenerNumber;
use super::state::ConnectionState;
use super::stream::watched::WatchedStream;
use crate::server::operator::metrics::Metrics;
use crate::server::process::traffic::Traffic;
use crate::server::snapshot::SharedSnapshot;

/// Accepts the connections of one listener.
#[derive(Clone)]
pub(crate) struct ConnectionAcceptor {
    pub(crate) listener: ListenerNumber,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
}

impl ConnectionAcceptor {
    /// A watched stream for a new connection; `None`: a limit is reached.
    pub(crate) fn accept(&self, stream: Stream) -> Option<Stream> {
        let digest = match stream.get_proxy_digest() {
            Some(digest) => digest,
            None => Arc::new(self.take_permit(peer_of(&*stream)).ok()?),
        };
        let limits = &self.snapshot.load().limits;
        let watched = WatchedStream::new(stream, digest, limits, Arc::clone(&self.metrics))?;
        Some(Box::new(watched))
    }

    /// Takes a permit for a connection.
    fn take_permit(&self, peer: Option<SocketAddr>) -> pingora::Result<ProxyDigest> {
        let snapshot = self.snapshot.load();
        let own = peer.and_then(|peer| self.limiter.acquire_own(peer));
        let client = peer.map(|peer| peer.ip().to_canonical());
        let counted = client.filter(|client| !snapshot.forwarding.trusts(*client));
        let permit = own.map_or_else(|| self.limiter.acquire(counted, &snapshot.limits), Ok);
        match permit {
            Ok(permit) => ConnectionState::attach(
                self.listener,
                permit,
                self.traffic.pending_connection(),
                Arc::clone(&self.metrics),
            ),
            Err(full) => {
                let limit = full.name();
                self.metrics.note_limit(limit);
                debug!(limit; "connection refused");
                Err(Error::explain(ErrorType::ConnectRefused, limit))
            }
        }
    }
}

fn peer_of(stream: &(impl GetSocketDigest + ?Sized)) -> Option<SocketAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().copied()
}

/// Before the handshake: a client that never finishes one takes a permit too.
#[async_trait]
impl PreTlsProcess for ConnectionAcceptor {
    async fn process(&self, socket: &mut Socket) -> pingora::Result<()> {
        let digest = self.take_permit(peer_of(socket))?;
        socket.set_proxy_digest(digest);
        Ok(())
    }
}
