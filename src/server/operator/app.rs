//! The connections of the operator listener: few, and none idle for long.

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

use super::listener::OperatorPages;
use super::metrics::Metrics;

/// How many connections there may be: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take for one request, from the end of the previous answer to the end of this one. A scraper
/// with an interval of 15 seconds keeps its connection.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Accepts connections. Beyond the limit the oldest is closed, so that probes are answered however many connections idle.
pub(crate) struct OperatorApp {
    requests: Arc<OperatorRequestApp>,
    /// A signal to end each open connection, the oldest first.
    open: Mutex<VecDeque<Arc<Notify>>>,
    metrics: Arc<Metrics>,
}

/// The requests of the connections, each within its time.
struct OperatorRequestApp(Arc<OperatorPages>);

impl OperatorApp {
    /// Serves these pages.
    pub(crate) fn new(operator: OperatorPages) -> Self {
        Self {
            metrics: Arc::clone(&operator.metrics),
            requests: Arc::new(OperatorRequestApp(Arc::new(operator))),
            open: Mutex::default(),
        }
    }

    fn admit_connection(&self) -> Arc<Notify> {
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
impl ServerApp for OperatorApp {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let end = self.admit_connection();
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
impl HttpServerApp for OperatorRequestApp {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let served = self.0.process_new_http(session, shutdown);
        timeout(REQUEST_MAX, served).await.ok().flatten()
    }
}
