//! Where customers' connections come in: counted, then watched.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use log::debug;
use pingora::listeners::PreTlsProcess;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, Stream};
use pingora::{Error, ErrorType};

use super::limiter::Slots;
use super::state::Line;
use super::stream::watched::Watched;
use crate::server::operator::metrics::Metrics;
use crate::server::process::traffic::Traffic;
use crate::server::snapshot::Served;

/// Where connections come in.
pub(crate) struct Reception {
    pub(crate) served: Served,
    pub(crate) slots: Arc<Slots>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Reception {
    /// A fresh connection, watched from here on; `None`: there is no place for it.
    pub(crate) fn receive(&self, stream: Stream) -> Option<Stream> {
        let digest = match stream.get_proxy_digest() {
            Some(digest) => digest,
            None => Arc::new(self.admit(peer_of(&*stream)).ok()?),
        };
        let limits = &self.served.load().limits;
        let watched = Watched::new(stream, digest, limits, Arc::clone(&self.metrics))?;
        Some(Box::new(watched))
    }

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
