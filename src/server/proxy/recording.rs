//! What is noted of a request while it is served, and taken down when it is over.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Uri, Version};
use pingora::{Error, ErrorSource};
use pingora_proxy::Session;

use crate::clock;
use crate::request::{Refusal, loggable_text};
use crate::server::access_log::record::{RecordedVerdict, RequestRecord, shortened};
use crate::server::operator::recorder::Recorder;
use crate::server::snapshot::Snapshot;
use crate::server::traces::request_span::RequestSpan;
use crate::server::traces::trace_context::TraceContext;
use crate::server::upstream::UpstreamServer;

/// What is noted of a request while it is served. Its head is kept as it came: copies of it cost nothing.
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    at_ms: u64,
    client: IpAddr,
    is_encrypted: bool,
    method: Method,
    version: Version,
    uri: Uri,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    /// The caller's.
    trace: Option<TraceContext>,
    span: Option<RequestSpan>,
    pub(crate) outcome: RecordedOutcome,
}

/// What became of it so far.
#[derive(Default)]
pub(crate) struct RecordedOutcome {
    pub(crate) verdict: RecordedVerdict,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) place: Option<String>,
    pub(crate) would: Option<Refusal>,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: Option<usize>,
    pub(crate) error: Option<String>,
    pub(crate) server: Option<Arc<UpstreamServer>>,
}

/// What the context of a request knows of it at its end.
pub(crate) struct RecordedContext<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) request: String,
    pub(crate) took: std::time::Duration,
    pub(crate) shop: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
}

impl Recording {
    /// Of a request whose header block has arrived.
    pub(crate) fn begin(recorder: &Arc<Recorder>, session: &Session, snapshot: &Snapshot) -> Self {
        let head = session.req_header();
        let is_logged = snapshot.access_log.is_some();
        let line = |name: HeaderName| head.headers.get(name).cloned();
        let trace = TraceContext::of(&head.headers);
        let traces = snapshot.traces.as_ref();
        Self {
            recorder: Arc::clone(recorder),
            at_ms: clock::now_ms(),
            client: snapshot.forwarding.client_of(session),
            is_encrypted: snapshot.forwarding.is_encrypted(session),
            method: head.method.clone(),
            version: head.version,
            uri: head.uri.clone(),
            host: line(HOST),
            referer: line(REFERER).filter(|_| is_logged),
            user_agent: line(USER_AGENT).filter(|_| is_logged),
            span: traces.and_then(|traces| RequestSpan::begin(traces, trace.as_ref())),
            trace,
            outcome: RecordedOutcome::default(),
        }
    }

    /// Its span, if it is traced.
    pub(crate) fn span(&self) -> Option<&RequestSpan> {
        self.span.as_ref()
    }

    /// Takes it down. It is over.
    pub(crate) fn finish(self, context: RecordedContext<'_>) {
        let (snapshot, outcome) = (context.snapshot, self.outcome);
        let settings = snapshot.access_log.as_ref();
        let gate = &snapshot.gate;
        let referer = self.referer.as_ref().map(text_of);
        let user_agent = self.user_agent.as_ref().map(text_of);
        let authority = self.uri.authority().map(|host| Cow::from(host.as_str()));
        let host = authority.or_else(|| self.host.as_ref().map(text_of));
        let server = outcome.server.filter(|_| settings.is_some());
        let own = self.span.as_ref().map(|span| &span.context);
        let trace = own.or(self.trace.as_ref());
        let record = RequestRecord {
            at_ms: self.at_ms,
            request: context.request,
            node: None,
            client: Some(self.client).filter(|client| !client.is_unspecified()),
            method: method_of(&self.method),
            scheme: if self.is_encrypted { "https" } else { "http" },
            host: host.map(|host| shortened(&loggable_text(without_user(&host)))),
            path: Some(shortened(&gate.loggable_path(self.uri.path()))),
            protocol: protocol_of(self.version),
            status: outcome.status,
            bytes: outcome.bytes,
            took: context.took,
            shop: context.shop.map(str::to_owned),
            route: context.route.map(str::to_owned),
            verdict: outcome.verdict,
            refusal: outcome.refusal,
            place: outcome.place,
            token: None,
            would: outcome.would,
            error: outcome.error,
            upstream: server.map(|server| server.address().to_string()),
            referer: referer.map(|text| shortened(&gate.loggable_referer(&text))),
            user_agent: user_agent.map(|text| shortened(&loggable_text(&text))),
            trace: trace.map(|context| context.trace.clone()),
            span: trace.map(|context| context.span.clone()),
        };
        self.recorder.record(record, settings, self.span.as_ref());
    }
}

/// The standard methods are words; any other text may be anything.
fn method_of(method: &Method) -> Cow<'static, str> {
    let standard = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let mut standard = standard.into_iter();
    match standard.find(|name| *name == method.as_str()) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(shortened(&loggable_text(method.as_str()))),
    }
}

fn protocol_of(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// A host without what stands before `@`.
fn without_user(host: &str) -> &str {
    host.rsplit('@').next().unwrap_or_default()
}

/// How an exchange failed, and on which side.
pub(crate) fn error_of(error: &Error) -> String {
    let side = match error.esource() {
        ErrorSource::Downstream => "client",
        ErrorSource::Upstream => "upstream",
        ErrorSource::Internal | ErrorSource::Unset => "doorward",
    };
    format!("{side}: {}", error.etype().as_str())
}
