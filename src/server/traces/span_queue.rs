//! The queue between requests and the exporter of spans. A span that finds it full is dropped: no request waits.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::request_span::RequestSpan;
use super::span_json::span_of;
use crate::server::access_log::record::RequestRecord;
use crate::server::operator::metrics::Metrics;

/// How many spans may wait.
const WAITING_MAX: usize = 4_096;

/// The spans that wait for their export.
pub(crate) struct SpanQueue {
    spans: Sender<Value>,
    /// The other end, until the exporter takes it.
    waiting: Mutex<Option<Receiver<Value>>>,
    metrics: Arc<Metrics>,
}

impl SpanQueue {
    /// An empty one; what is dropped is counted.
    pub(crate) fn counting(metrics: Arc<Metrics>) -> Self {
        let (spans, waiting) = channel(WAITING_MAX);
        Self {
            spans,
            waiting: Mutex::new(Some(waiting)),
            metrics,
        }
    }

    /// The other end; once.
    pub(super) fn take(&self) -> Option<Receiver<Value>> {
        self.waiting.lock().take()
    }

    /// The span of a request that is over.
    pub(crate) fn note(&self, span: &RequestSpan, record: &RequestRecord) {
        if self.spans.try_send(span_of(span, record)).is_err() {
            self.metrics.note_dropped_spans("queue_full", 1);
        }
    }

    /// Spans could not be exported.
    pub(super) fn note_lost(&self, spans: usize) {
        self.metrics.note_dropped_spans("not_exported", spans);
    }
}
