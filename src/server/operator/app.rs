//! The connections of the operator listener: few, and none idle for long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{Method, Response};
use parking_lot::Mutex;
use pingora::apps::http_app::ServeHttp;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::dashboard::Reader;
use super::listener::{EVENTS, OperatorPages, shielded};
use super::metrics::Metrics;

/// How many connections there may be: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take for one request, from the end of the previous answer to the end of this one. A scraper
/// with an interval of 15 seconds keeps its connection.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// What clients are told of how long a connection may idle.
const KEEPALIVE_S: u64 = 60;

/// The pause between two events.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// How long a reader may take for an event.
const WRITE_MAX: Duration = Duration::from_secs(5);

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
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let read = timeout(REQUEST_MAX, session.read_request()).await;
        if !read.ok()?.ok()? {
            return None;
        }
        if let Some(reader) = self.reader(&session) {
            session.set_keepalive(None);
            self.stream_events(&mut session, reader).await;
            return None;
        }
        let is_last = *shutdown.borrow();
        timeout(REQUEST_MAX, self.answer(session, is_last))
            .await
            .ok()
            .flatten()
    }
}

impl OperatorRequestApp {
    /// Answers with a whole page.
    async fn answer(&self, mut session: ServerSession, is_last: bool) -> Option<ReusedHttpStream> {
        session.set_keepalive((!is_last).then_some(KEEPALIVE_S));
        let (head, body) = self.0.response(&mut session).await.into_parts();
        session
            .write_response_header(Box::new(head.into()))
            .await
            .ok()?;
        if !body.is_empty() {
            session.write_response_body(body.into(), true).await.ok()?;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()?;
        reusable.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    /// A page that asks for the events, if it may; [`Self::answer`] tells the others why not.
    fn reader(&self, session: &ServerSession) -> Option<Reader> {
        let head = session.req_header();
        let is_asked = head.method == Method::GET && head.uri.path() == EVENTS;
        if !is_asked || self.0.refusal(session).is_some() {
            return None;
        }
        self.0.feed.admit_reader()
    }

    /// Sends a snapshot a second, until the reader leaves or the process stops. A reader that takes none for a while is gone.
    async fn stream_events(&self, session: &mut ServerSession, reader: Reader) -> Option<()> {
        let feed = &self.0.feed;
        let head = Response::builder().header(CONTENT_TYPE, "text/event-stream");
        let (head, ()) = shielded(head.body(()).ok()?).into_parts();
        session.set_write_timeout(Some(WRITE_MAX));
        session
            .write_response_header(Box::new(head.into()))
            .await
            .ok()?;
        session
            .write_response_body(feed.history_event(), false)
            .await
            .ok()?;
        loop {
            let is_last = feed.status.traffic.is_stopping();
            session
                .write_response_body(feed.snapshot_event(), is_last)
                .await
                .ok()?;
            if is_last {
                drop(reader);
                return Some(());
            }
            sleep(EVENT_EVERY).await;
        }
    }
}
