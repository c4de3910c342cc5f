//! The way to the operator's listener: few connections, and none that stays without asking for anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::listener::Operator;
use super::metrics::Metrics;

/// How many connections there may be: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take for one request, from the end of the one before to the end of its answer. A scraper that
/// comes every 15 seconds keeps its connection.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Lets connections in. Beyond the limit the oldest one is closed, so that a probe is answered however many others idle.
pub(crate) struct OperatorDoor {
    requests: Arc<OperatorRequests>,
    /// How each open connection is told to end, the oldest one first.
    open: Mutex<VecDeque<Arc<Notify>>>,
    metrics: Arc<Metrics>,
}

/// The requests of the connections, each within its time.
struct OperatorRequests(Arc<Operator>);

impl OperatorDoor {
    /// The way to this one.
    pub(crate) fn to(operator: Operator) -> Self {
        Self {
            metrics: Arc::clone(&operator.metrics),
            requests: Arc::new(OperatorRequests(Arc::new(operator))),
            open: Mutex::default(),
        }
    }

    fn let_in(&self) -> Arc<Notify> {
        let end = Arc::new(Notify::new());
        let mut open = self.open.lock();
        open.push_back(Arc::clone(&end));
        if open.len() > CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.notify_one();
            self.metrics.note_limit("operator_connections");
        }
        end
    }
}

#[async_trait]
impl ServerApp for OperatorDoor {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let end = self.let_in();
        let left = tokio::select! {
            biased;
            () = end.notified() => None,
            left = self.requests.process_new(stream, shutdown) => left,
        };
        self.open.lock().retain(|one| !Arc::ptr_eq(one, &end));
        left
    }
}

#[async_trait]
impl HttpServerApp for OperatorRequests {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let served = self.0.process_new_http(session, shutdown);
        timeout(REQUEST_MAX, served).await.ok().flatten()
    }
}
