//! The state of a customer's connection, shared by its stream and by the service above it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::Digest;
use pingora::protocols::raw_connect::ProxyDigest;
use rustls::pki_types::CertificateDer;

use super::client_certificate::{ClientAuthorities, MissingCertificate, ShownCertificate};
use super::limiter::ConnectionPermit;
use super::listener::{ListenerNumber, ListenerRules};
use crate::clients::Peer;
use crate::request::ClientCertificate;
use crate::server::operator::metrics::Metrics;
use crate::server::process::traffic::PendingConnection;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    listener: ListenerNumber,
    peer: Peer,
    phase: AtomicU8,
    served: AtomicUsize,
    /// Whether its handshake succeeded, where it has one.
    opened: AtomicBool,
    /// Counts as pending until then.
    pending: Mutex<Option<PendingConnection>>,
    metrics: Arc<Metrics>,
    permit: ConnectionPermit,
    /// What its client showed in the handshake.
    certificate: OnceLock<ShownCertificate>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A header block arrives; the first one from the handshake on, the others from their first byte on.
    ReadingHead,
    /// A request is served; its body takes the time it takes.
    Serving,
    /// Waits for the next request.
    Idle,
    /// Many requests at once (HTTP/2): their header blocks are bounded by the protocol.
    Multiplexed,
}

impl ConnectionState {
    /// The state of a new connection in a digest, which Pingora passes from the socket through TLS to every request.
    pub(crate) fn attach(
        listener: ListenerNumber,
        peer: Peer,
        permit: ConnectionPermit,
        pending: PendingConnection,
        metrics: Arc<Metrics>,
    ) -> pingora::Result<ProxyDigest> {
        let state = Self {
            listener,
            peer,
            phase: AtomicU8::new(Phase::ReadingHead as u8),
            served: AtomicUsize::new(0),
            opened: AtomicBool::new(false),
            pending: Mutex::new(Some(pending)),
            metrics,
            permit,
            certificate: OnceLock::new(),
        };
        let unused = ResponseHeader::build(200, None)?;
        Ok(ProxyDigest::new(
            Box::new(unused),
            Some(Box::new(Arc::new(state))),
        ))
    }

    /// The state of a session's connection.
    pub(crate) fn of_session(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        Self::in_digest(digest?.proxy_digest.as_ref()?)
    }

    pub(crate) fn in_digest(digest: &ProxyDigest) -> Option<&Arc<Self>> {
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// The listener that accepted it.
    pub(crate) fn listener(&self) -> ListenerNumber {
        self.listener
    }

    /// Its other end, or the client for which a proxy opened it (PROXY protocol).
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Takes the certificate that the client showed, which must be one that counts, if these authorities are set.
    pub(super) fn take_certificate(
        &self,
        chain: Option<&[CertificateDer<'static>]>,
        authorities: Option<&Arc<ClientAuthorities>>,
    ) -> Result<(), MissingCertificate> {
        if let (Some(authorities), false) = (authorities, self.permit.is_own())
            && let Some(shown) = ShownCertificate::verified(chain, authorities)?
        {
            let _ = self.certificate.set(shown);
        }
        Ok(())
    }

    /// What the certificate of its client says under the rules of its listener; an error, if the client must show one
    /// that counts, and did not.
    pub(crate) fn certificate_under(
        &self,
        rules: Option<&ListenerRules>,
    ) -> Result<Option<&ClientCertificate>, MissingCertificate> {
        match rules.and_then(|rules| rules.client_authorities.as_ref()) {
            Some(authorities) if !self.permit.is_own() => {
                ShownCertificate::under(self.certificate.get(), authorities)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The handshake is done: requests may arrive.
    pub(crate) fn note_opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
        *self.pending.lock() = None; // `DrainingApp` counts it from here on
    }

    /// A whole header block has arrived.
    pub(crate) fn begin_request(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.change_phase(Phase::ReadingHead, Phase::Serving);
    }

    /// How many requests were served.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// The request is done; the next header block may come.
    pub(crate) fn become_idle(&self) {
        self.change_phase(Phase::Serving, Phase::Idle);
    }

    /// The first bytes on an idle connection begin a header block.
    pub(crate) fn begin_head(&self) -> bool {
        self.change_phase(Phase::Idle, Phase::ReadingHead)
    }

    /// Requests come in parallel.
    pub(crate) fn multiplex(&self) {
        self.phase
            .store(Phase::Multiplexed as u8, Ordering::Relaxed);
    }

    /// Whether a header block is arriving.
    pub(crate) fn awaits_head(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::ReadingHead as u8
    }

    fn change_phase(&self, from: Phase, to: Phase) -> bool {
        let (from, to) = (from as u8, to as u8);
        let turned = self
            .phase
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        turned.is_ok()
    }
}

impl Drop for ConnectionState {
    fn drop(&mut self) {
        if !*self.opened.get_mut() {
            self.metrics.note_failed_handshake();
        }
    }
}
