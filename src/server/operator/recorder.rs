//! Takes down what became of each request: a line of the access log, a span, and a record for `doorward explain`.

use std::sync::Arc;

use super::decisions::Decisions;
use super::endings::Endings;
use super::log_id::LogKey;
use crate::server::access_log::queue::AccessLog;
use crate::server::access_log::record::RequestRecord;
use crate::server::access_log::settings::AccessLogSettings;
use crate::server::traces::request_span::RequestSpan;
use crate::server::traces::span_queue::SpanQueue;

/// Takes down what became of each request.
pub(crate) struct Recorder {
    pub(crate) access_log: AccessLog,
    pub(crate) spans: SpanQueue,
    pub(crate) decisions: Decisions,
    pub(crate) endings: Endings,
    pub(crate) log_key: LogKey,
    /// The name of this node.
    pub(crate) node: Option<String>,
}

impl Recorder {
    /// A request is over.
    pub(crate) fn record(
        &self,
        mut record: RequestRecord,
        settings: Option<&Arc<AccessLogSettings>>,
        span: Option<&RequestSpan>,
    ) {
        let token = record.revoked_token();
        record.token = token.map(|token| self.log_key.name(&token).to_string());
        if let Some(settings) = settings {
            record.node.clone_from(&self.node);
            self.access_log.note(settings, &record);
        }
        if let Some(span) = span {
            self.spans.note(span, &record);
        }
        self.decisions.note(record.into_kept());
    }
}
