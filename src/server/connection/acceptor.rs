//! The acceptor of customers' connections: each needs a permit, then its stream is watched.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use log::debug;
use pingora::listeners::PreTlsProcess;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::TlsRef;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, Stream};
use pingora::{Error, ErrorType};
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::limiter::{ConnectionLimit, ConnectionLimiter, ConnectionPermit};
use super::limits::Limits;
use super::listener::ListenerNumber;
use super::proxy_header::{self, ProxyHeaderLog, UnfitProxyHeader};
use super::state::ConnectionState;
use super::stream::watched::WatchedStream;
use super::unread::UnreadRequests;
use crate::clients::{Peer, Peers};
use crate::request::Refusal;
use crate::server::acme::tls_alpn;
use crate::server::operator::metrics::Metrics;
use crate::server::process::traffic::Traffic;
use crate::server::snapshot::{SharedSnapshot, Snapshot};

/// Accepts the connections of one listener.
#[derive(Clone)]
pub(crate) struct ConnectionAcceptor {
    pub(crate) listener: ListenerNumber,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) proxy_header_log: Arc<ProxyHeaderLog>,
    pub(crate) unread: UnreadRequests,
}

/// Why a connection is closed at once.
enum NotAccepted {
    Limit(ConnectionLimit),
    /// Its client is on a list of those that are not served.
    Denied,
    ProxyHeader(UnfitProxyHeader),
}

impl ConnectionAcceptor {
    /// A watched stream for a new connection; `None`: it is not accepted.
    pub(crate) async fn accept(&self, mut stream: Stream) -> Option<Stream> {
        let digest = match stream.get_proxy_digest() {
            Some(digest) => digest,
            None => Arc::new(self.admit(&mut *stream).await.ok()?),
        };
        let snapshot = self.snapshot.load();
        let authorities = snapshot
            .rules_of(self.listener)?
            .client_authorities
            .as_ref();
        let chain = stream.get_ssl().and_then(TlsRef::peer_cert_chain_der);
        let state = ConnectionState::in_digest(&digest)?;
        state.take_certificate(chain, authorities).ok()?;
        let noted = (Arc::clone(&self.metrics), self.unread.clone());
        let watched = WatchedStream::new(stream, digest, &snapshot.limits, noted)?;
        Some(Box::new(watched))
    }

    /// A connection by a unix socket. The self-probe's has its permit already: only there a process can tell its own.
    pub(crate) fn take_unix(&self, stream: UnixStream) -> Socket {
        let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let is_own = peer.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()));
        let mut socket = Socket::from(stream);
        let permit = is_own.then(|| self.limiter.acquire_own(None)).flatten();
        let digest = permit.and_then(|permit| self.attach(Peer::Unix, permit).ok());
        if let Some(digest) = digest {
            socket.set_proxy_digest(digest);
        }
        socket
    }

    /// Reads what a proxy says of a connection, and takes a permit for it.
    async fn admit(
        &self,
        stream: &mut (impl AsyncRead + GetSocketDigest + Unpin + Send + ?Sized),
    ) -> pingora::Result<ProxyDigest> {
        let _pending = self.traffic.pending_connection();
        let (peer, permit) = self.permit_for(stream).await.map_err(|why| {
            self.note_refused(&why);
            Error::explain(ErrorType::ConnectRefused, why.to_string())
        })?;
        self.attach(peer, permit)
    }

    fn attach(&self, peer: Peer, permit: ConnectionPermit) -> pingora::Result<ProxyDigest> {
        let (pending, metrics) = (self.traffic.pending_connection(), Arc::clone(&self.metrics));
        ConnectionState::attach(self.listener, peer, permit, pending, metrics)
    }

    async fn permit_for(
        &self,
        stream: &mut (impl AsyncRead + GetSocketDigest + Unpin + Send + ?Sized),
    ) -> Result<(Peer, ConnectionPermit), NotAccepted> {
        let address = address_of(stream);
        let peer = address.map_or(Peer::Unix, |address| Peer::at(address.ip()));
        if let Some(permit) = address.and_then(|address| self.limiter.acquire_own(Some(address))) {
            return Ok((peer, permit));
        }
        let snapshot = self.snapshot.load_full();
        let permit = self.limiter.acquire(&snapshot.limits)?;
        let peer = self.client_behind(peer, stream, &snapshot).await?;
        let permit = match peer.address().filter(|_| !snapshot.forwarding.trusts(peer)) {
            Some(_) if !snapshot.access.admits(Some(peer)) => {
                return Err(NotAccepted::Denied);
            }
            Some(client) => permit.count_for(client, &snapshot.limits)?,
            None => permit,
        };
        Ok((peer, permit))
    }

    /// The client for which a proxy opened the connection, where the listener takes headers of the PROXY protocol.
    async fn client_behind(
        &self,
        peer: Peer,
        stream: &mut (impl AsyncRead + Unpin + Send + ?Sized),
        snapshot: &Snapshot,
    ) -> Result<Peer, NotAccepted> {
        let rules = snapshot.rules_of(self.listener);
        let Some(proxies) = rules
            .map(|rules| &rules.proxy_protocol)
            .filter(|all| !all.is_empty())
        else {
            return Ok(peer);
        };
        let read = told_client(peer, proxies, stream, &snapshot.limits).await;
        read.map_err(|why| {
            self.proxy_header_log.note(self.listener, peer, why.name());
            NotAccepted::ProxyHeader(why)
        })
    }

    fn note_refused(&self, why: &NotAccepted) {
        match why {
            NotAccepted::Limit(limit) => {
                let limit = limit.name();
                self.metrics.note_limit(limit);
                debug!(limit; "connection refused");
            }
            NotAccepted::Denied => {
                let reason = Refusal::AccessDenied.name();
                self.metrics.note_decision("", reason, "connection");
            }
            NotAccepted::ProxyHeader(why) => self.metrics.note_proxy_header(why.name()),
        }
    }
}

/// The client that the header of a proxy names; the proxy itself, if it names none.
async fn told_client(
    peer: Peer,
    proxies: &Peers,
    stream: &mut (impl AsyncRead + Unpin + Send + ?Sized),
    limits: &Limits,
) -> Result<Peer, UnfitProxyHeader> {
    if !proxies.contains(peer) {
        return Err(UnfitProxyHeader::Peer);
    }
    let read = timeout(limits.header_timeout, proxy_header::read(stream)).await;
    let told = read.unwrap_or(Err(UnfitProxyHeader::Late))?;
    Ok(told.map_or(peer, |client| Peer::at(client.ip())))
}

fn address_of(stream: &(impl GetSocketDigest + ?Sized)) -> Option<SocketAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().copied()
}

/// Before the handshake: a client that never finishes one takes a permit too.
#[async_trait]
impl PreTlsProcess for ConnectionAcceptor {
    async fn process(&self, socket: &mut Socket) -> pingora::Result<()> {
        let digest = self.admit(socket).await?;
        let state = ConnectionState::in_digest(&digest).cloned();
        socket.set_proxy_digest(digest);
        let challenges = Arc::clone(&self.snapshot.load().acme.challenges);
        if tls_alpn::answer(socket, &challenges).await {
            if let Some(state) = state {
                state.note_opened();
            }
            let over = "a challenge was answered";
            return Err(Error::explain(ErrorType::ConnectionClosed, over));
        }
        Ok(())
    }
}

impl From<ConnectionLimit> for NotAccepted {
    fn from(limit: ConnectionLimit) -> Self {
        Self::Limit(limit)
    }
}

impl fmt::Display for NotAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(limit) => f.write_str(limit.name()),
            Self::Denied => f.write_str(Refusal::AccessDenied.name()),
            Self::ProxyHeader(why) => f.write_str(why.name()),
        }
    }
}
