//! The customers' traffic: what is in flight, and how it drains when the process stops.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock;

/// What is in flight, and how far the process has drained.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Every request in flight holds a clone.
    requests: Arc<()>,
    /// Every connection that has not made its first request holds a clone.
    pending: Arc<()>,
    /// Whether the operator sends balancers elsewhere, while the process goes on.
    held_back: AtomicBool,
    stopping: AtomicBool,
    closing: AtomicBool,
    /// `true` once no connection is accepted any more.
    accept_watch: watch::Sender<bool>,
    idle_closed: AtomicBool,
}

/// Counts as a connection without a first request until it is dropped.
#[derive(Debug)]
pub(crate) struct PendingConnection(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// Counts as a request in flight until it is dropped.
pub(crate) struct InFlight {
    _counted: Arc<()>,
}

/// Serves connections by `inner`; when the process stops, pending connections may still make their first request.
pub(crate) struct DrainingApp<A> {
    inner: Arc<A>,
    traffic: Arc<Traffic>,
}

/// How often requests in flight are counted while the process stops.
const TICK: Duration = Duration::from_millis(10);

/// How long accepted connections may take to reach their worker.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a pending connection may still take for its first request. An accepted connection would fail otherwise; one
/// in the queue is served by the next process. A connection of HTTP/2 closes within this time.
const PENDING_PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The pending connection that this task serves.
    static PENDING: Cell<Option<PendingConnection>>;
}

impl Traffic {
    /// A request began.
    pub(crate) fn begin_request(&self) -> InFlight {
        let in_flight = InFlight {
            _counted: Arc::clone(&self.requests),
        };
        let _ = PENDING.try_with(Cell::take); // its first request is here
        in_flight
    }

    /// A connection was accepted.
    pub(crate) fn pending_connection(&self) -> PendingConnection {
        PendingConnection(Arc::clone(&self.pending))
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        Arc::strong_count(&self.requests).saturating_sub(1)
    }

    /// The process is to stop: balancers should go elsewhere.
    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the process is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Balancers should go elsewhere, or may come back.
    pub(crate) fn hold_back(&self, is_held_back: bool) {
        self.held_back.store(is_held_back, Ordering::Release);
    }

    /// Whether balancers should go elsewhere.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_stopping() || self.held_back.load(Ordering::Acquire)
    }

    /// Accepts no more connections.
    pub(crate) fn stop_accepting(&self) {
        self.closing.store(true, Ordering::Release);
        self.accept_watch.send_replace(true);
    }

    /// Whether a connection must end with the answer that is on its way.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Tells the public listener to stop accepting, instead of Pingora's own watch.
    pub(crate) fn accept_watch(&self) -> ShutdownWatch {
        self.accept_watch.subscribe()
    }

    /// Waits until the idle connections are closed and no request is in flight.
    pub(crate) async fn is_over(&self) {
        while !self.idle_closed.load(Ordering::Acquire) || self.in_flight() > 0 {
            sleep(TICK).await;
        }
    }

    /// Waits until no connection is pending, or for [`PENDING_PATIENCE`] if no request is in flight.
    async fn pending_are_gone(&self) {
        let closed_at = clock::instant();
        let is_too_long = || clock::instant().duration_since(closed_at) > PENDING_PATIENCE;
        while Arc::strong_count(&self.pending) > 1 {
            if self.in_flight() == 0 && is_too_long() {
                return;
            }
            sleep(TICK).await;
        }
    }
}

impl<A> DrainingApp<A> {
    /// Counts the connections that `inner` serves.
    pub(crate) fn new(inner: A, traffic: &Arc<Traffic>) -> Self {
        Self {
            inner: Arc::new(inner),
            traffic: Arc::clone(traffic),
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for DrainingApp<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let pending = Cell::new(Some(self.traffic.pending_connection()));
        let served = self.inner.process_new(stream, shutdown);
        PENDING.scope(pending, served).await
    }

    /// Called once no connection is accepted any more. Pingora then drops every idle connection.
    async fn cleanup(&self) {
        sleep(SETTLE).await;
        self.traffic.pending_are_gone().await;
        self.inner.cleanup().await;
        self.traffic.idle_closed.store(true, Ordering::Release);
    }
}
