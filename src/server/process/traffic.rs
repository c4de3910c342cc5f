//! The customers' traffic: what is in flight, and how it comes to its end when the process stops.

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

/// What is in flight, and how far the end has come.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Every request in flight holds a clone.
    requests: Arc<()>,
    /// Every connection that has not made its first request holds a clone.
    newcomers: Arc<()>,
    draining: AtomicBool,
    closing: AtomicBool,
    /// Says `true` once nobody is let in any more.
    doors: watch::Sender<bool>,
    swept: AtomicBool,
}

/// Counts as a connection that has not made its first request for as long as it lives.
#[derive(Debug)]
pub(crate) struct Newcomer(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// Counts as a request in flight for as long as it lives.
pub(crate) struct InFlight {
    _counted: Arc<()>,
}

/// Serves connections by `inner`, and lets the newcomers among them say what they want before the end.
pub(crate) struct Attended<A> {
    inner: Arc<A>,
    traffic: Arc<Traffic>,
}

/// How often what is in flight is counted while the process stops.
const TICK: Duration = Duration::from_millis(10);

/// How long the last connections that were let in may take to find their worker.
const SETTLE: Duration = Duration::from_millis(50);

/// How long a newcomer may still take for its first request. Whoever was let in would fail otherwise, while
/// whoever waits outside is served by the next process. A connection of HTTP/2 closes within this time.
const NEWCOMER_PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The newcomer whose connection this task serves.
    static NEWCOMER: Cell<Option<Newcomer>>;
}

impl Traffic {
    /// A request began.
    pub(crate) fn request(&self) -> InFlight {
        let in_flight = InFlight {
            _counted: Arc::clone(&self.requests),
        };
        let _ = NEWCOMER.try_with(Cell::take); // it has said what it wants
        in_flight
    }

    /// A connection was let in.
    pub(crate) fn newcomer(&self) -> Newcomer {
        Newcomer(Arc::clone(&self.newcomers))
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        Arc::strong_count(&self.requests).saturating_sub(1)
    }

    /// The process was told to stop: balancers should go elsewhere.
    pub(crate) fn begin_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process was told to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets nobody in from here on.
    pub(crate) fn close_doors(&self) {
        self.closing.store(true, Ordering::Release);
        self.doors.send_replace(true);
    }

    /// Whether a connection must end with the answer that is on its way.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// What the public listener obeys, in the place of Pingora's own watch.
    pub(crate) fn doors(&self) -> ShutdownWatch {
        self.doors.subscribe()
    }

    /// Waits until the idle connections are closed and no request is in flight.
    pub(crate) async fn is_over(&self) {
        while !self.swept.load(Ordering::Acquire) || self.in_flight() > 0 {
            sleep(TICK).await;
        }
    }

    /// Waits until nobody who was let in has still to ask, or they have been waited for long enough: not as
    /// long as others are served anyway.
    async fn newcomers_are_gone(&self) {
        let closed_at = clock::instant();
        let is_too_long = || clock::instant().duration_since(closed_at) > NEWCOMER_PATIENCE;
        while Arc::strong_count(&self.newcomers) > 1 {
            if self.in_flight() == 0 && is_too_long() {
                return;
            }
            sleep(TICK).await;
        }
    }
}

impl<A> Attended<A> {
    /// The connections that `inner` serves.
    pub(crate) fn by(inner: A, traffic: &Arc<Traffic>) -> Self {
        Self {
            inner: Arc::new(inner),
            traffic: Arc::clone(traffic),
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Attended<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let newcomer = Cell::new(Some(self.traffic.newcomer()));
        let served = self.inner.process_new(stream, shutdown);
        NEWCOMER.scope(newcomer, served).await
    }

    /// Called once the doors are closed. Pingora then drops every connection that waits for a request.
    async fn cleanup(&self) {
        sleep(SETTLE).await;
        self.traffic.newcomers_are_gone().await;
        self.inner.cleanup().await;
        self.traffic.swept.store(true, Ordering::Release);
    }
}
