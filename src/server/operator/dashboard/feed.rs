//! What the page shows, computed once a second for all of its readers while there are any, and not at all otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::history::{History, HistoryPoint};
use super::readers::{Reader, ReaderCount};
use super::recent::recent;
use crate::clock;
use crate::server::operator::recorder::Recorder;
use crate::server::operator::status::StatusSources;

/// How long a snapshot is shown to further readers: a little less than the pause between two events.
const FRESH: Duration = Duration::from_millis(900);

/// The pause between two points of the history while there are no readers.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// What the page shows.
pub(crate) struct DashboardFeed {
    pub(crate) status: Arc<StatusSources>,
    pub(crate) recorder: Arc<Recorder>,
    shown: Mutex<Shown>,
    readers: ReaderCount,
}

#[derive(Default)]
struct Shown {
    history: History,
    last: Option<(Instant, Bytes)>,
}

impl DashboardFeed {
    /// Nothing was shown yet.
    pub(crate) fn new(status: Arc<StatusSources>, recorder: Arc<Recorder>) -> Self {
        Self {
            status,
            recorder,
            shown: Mutex::default(),
            readers: ReaderCount::default(),
        }
    }

    /// One more reader; `None`: there are enough.
    pub(crate) fn admit_reader(&self) -> Option<Reader> {
        self.readers.admit()
    }

    /// The first event of a reader: the last five minutes.
    pub(crate) fn history_event(&self) -> Bytes {
        let history = self.shown.lock().history.to_json();
        event("history", &history)
    }

    /// The event of this second.
    pub(crate) fn snapshot_event(&self) -> Bytes {
        let mut shown = self.shown.lock();
        let now = clock::instant();
        if let Some((at, event)) = &shown.last
            && now.duration_since(*at) < FRESH
        {
            return event.clone();
        }
        let status = self.status.document();
        let revocations = &status["revocations"];
        let point = HistoryPoint::of(
            &status["totals"],
            clock::now_ms(),
            revocations["live"].as_u64().unwrap_or_default(),
            revocations["bytes"].as_u64().unwrap_or_default(),
        );
        shown.history.add(point);
        let told = json!({
            "status": status,
            "point": point.to_json(),
            "decisions": recent(&self.recorder.decisions),
        });
        let event = event("snapshot", &told);
        shown.last = Some((now, event.clone()));
        event
    }

    /// Adds a point to the history.
    fn sample(&self) {
        let snapshot = self.status.snapshot.load();
        let revocations = snapshot.gate.revocations();
        let counts = revocations.counts();
        let live = counts.tokens + counts.undated + counts.cutoffs;
        let bytes = u64::try_from(revocations.bytes()).unwrap_or(u64::MAX);
        let totals = self.status.totals();
        let point = HistoryPoint::of(&totals, clock::now_ms(), live, bytes);
        self.shown.lock().history.add(point);
    }
}

/// An event of a stream, as HTML defines it. JSON has no line feed outside of its strings, and none within.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// Keeps the history while there are no readers.
pub(crate) struct HistorySampler(pub(crate) Arc<DashboardFeed>);

#[async_trait]
impl BackgroundService for HistorySampler {
    async fn start(&self, _: ShutdownWatch) {
        loop {
            if !self.0.readers.are_there() {
                self.0.sample();
            }
            sleep(SAMPLE_EVERY).await;
        }
    }
}
