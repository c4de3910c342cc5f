//! What both ends of a customer's connection know of it: the stream below, and who serves it above.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::Digest;
use pingora::protocols::raw_connect::ProxyDigest;

use super::limiter::Slot;
use crate::server::operator::metrics::Metrics;
use crate::server::process::traffic::Newcomer;

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    phase: AtomicU8,
    served: AtomicUsize,
    /// Whether its handshake succeeded, where it has one.
    opened: AtomicBool,
    /// Counts as a newcomer until then.
    arriving: Mutex<Option<Newcomer>>,
    metrics: Arc<Metrics>,
    _slot: Slot,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A header block arrives; the first one from the handshake on, the others from their first byte on.
    Head,
    /// A request is served; its body takes the time it takes.
    Serving,
    /// Between two requests.
    Quiet,
    /// Many requests at once (HTTP/2): their header blocks are bounded by the protocol.
    Many,
}

impl Line {
    /// A fresh connection, and how a session finds it again: Pingora hands this digest from the socket up
    /// through TLS to every request.
    pub(crate) fn with(
        slot: Slot,
        newcomer: Newcomer,
        metrics: Arc<Metrics>,
    ) -> pingora::Result<ProxyDigest> {
        let line = Self {
            phase: AtomicU8::new(Phase::Head as u8),
            served: AtomicUsize::new(0),
            opened: AtomicBool::new(false),
            arriving: Mutex::new(Some(newcomer)),
            metrics,
            _slot: slot,
        };
        let unused = ResponseHeader::build(200, None)?;
        Ok(ProxyDigest::new(
            Box::new(unused),
            Some(Box::new(Arc::new(line))),
        ))
    }

    /// The line of a session.
    pub(crate) fn of(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        Self::within(digest?.proxy_digest.as_ref()?)
    }

    pub(crate) fn within(digest: &ProxyDigest) -> Option<&Arc<Self>> {
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// Requests may come.
    pub(crate) fn open(&self) {
        self.opened.store(true, Ordering::Relaxed);
        *self.arriving.lock() = None; // whoever attends it counts it from here on
    }

    /// A header block has arrived whole.
    pub(crate) fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.turn(Phase::Head, Phase::Serving);
    }

    /// How many requests came to be served.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// The next header block may come.
    pub(crate) fn rest(&self) {
        self.turn(Phase::Serving, Phase::Quiet);
    }

    /// The first bytes after a quiet time begin a header block.
    pub(crate) fn begin(&self) -> bool {
        self.turn(Phase::Quiet, Phase::Head)
    }

    /// Requests come side by side.
    pub(crate) fn multiplex(&self) {
        self.phase.store(Phase::Many as u8, Ordering::Relaxed);
    }

    /// Whether a header block is arriving.
    pub(crate) fn awaits_head(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Head as u8
    }

    fn turn(&self, from: Phase, to: Phase) -> bool {
        let (from, to) = (from as u8, to as u8);
        let turned = self
            .phase
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        turned.is_ok()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !*self.opened.get_mut() {
            self.metrics.note_failed_handshake();
        }
    }
}
