//! Sends spans to a collector: OTLP over HTTP, in JSON (OpenTelemetry Protocol 1, "OTLP/HTTP").

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, StatusCode};
use log::warn;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, OrErr};
use serde_json::Value;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::settings::TraceSettings;
use super::span_json::export_of;
use crate::clock;
use crate::log_limit::LogLimit;
use crate::request::FetchUrl;
use crate::server::operator::recorder::Recorder;
use crate::server::proxy::client::{connect, read_head, send};
use crate::server::snapshot::SharedSnapshot;

/// How long spans wait for others.
const TICK: Duration = Duration::from_millis(500);

/// How many spans are sent together.
const TOGETHER_MAX: usize = 512;

/// How long an export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a failure is logged.
const SILENCE: Duration = Duration::from_mins(1);

/// Sends spans to a collector.
pub(crate) struct SpanExporter {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) recorder: Arc<Recorder>,
}

/// Why spans were not exported.
enum ExportFailure {
    Late,
    Status(StatusCode),
    Exchange(Box<pingora::Error>),
}

#[async_trait]
impl BackgroundService for SpanExporter {
    /// It goes on while the process drains: requests end until then.
    async fn start(&self, _: ShutdownWatch) {
        let Some(mut spans) = self.recorder.spans.take() else {
            return;
        };
        let mut failures = LogLimit::new(SILENCE, 1);
        let mut batch = Vec::new();
        let mut ticks = tokio::time::interval(TICK);
        // Made when it is needed: it reads the system's certificates.
        let mut connector = None;
        loop {
            ticks.tick().await;
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
                if batch.len() == TOGETHER_MAX {
                    self.send(&mut connector, &mut batch, &mut failures).await;
                }
            }
            self.send(&mut connector, &mut batch, &mut failures).await;
        }
    }
}

impl SpanExporter {
    async fn send(
        &self,
        connector: &mut Option<Connector>,
        batch: &mut Vec<Value>,
        failures: &mut LogLimit<()>,
    ) {
        let spans = std::mem::take(batch);
        let settings = self.snapshot.load().traces.clone();
        let Some(settings) = settings.filter(|_| !spans.is_empty()) else {
            return;
        };
        let connector = connector.get_or_insert_with(|| Connector::new(None));
        let node = self.recorder.node.as_deref();
        let exported = timeout(EXPORT_TIMEOUT, export(connector, &settings, node, &spans));
        let Err(failure) = exported.await.unwrap_or(Err(ExportFailure::Late)) else {
            return;
        };
        self.recorder.spans.note_lost(spans.len());
        if failures.is_due((), clock::uptime_ms()) {
            let (to, reason, spans) = (settings.to.to_string(), failure.reason(), spans.len());
            warn!(to, reason, spans; "spans can't be exported, and are lost: see `traces`");
        }
    }
}

async fn export(
    connector: &Connector,
    settings: &TraceSettings,
    node: Option<&str>,
    spans: &[Value],
) -> Result<(), ExportFailure> {
    let body = export_of(&settings.service, node, spans).to_string();
    let status = post(connector, &settings.to, body.as_bytes()).await;
    let status = status.map_err(ExportFailure::Exchange)?;
    if status.is_success() {
        return Ok(());
    }
    Err(ExportFailure::Status(status))
}

async fn post(connector: &Connector, url: &FetchUrl, body: &[u8]) -> pingora::Result<StatusCode> {
    let mut head = RequestHeader::build(Method::POST, url.target.as_bytes(), None)?;
    head.insert_header(HOST, url.authority())?;
    head.insert_header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))?;
    head.insert_header(CONTENT_TYPE, "application/json")?;
    let peer = peer_of(url).await?;
    let mut session = connect(connector, &peer).await?;
    send(&mut session, &peer, head, body).await?;
    Ok(read_head(&mut session).await?.status)
}

/// The name is what the certificate is checked for.
async fn peer_of(url: &FetchUrl) -> pingora::Result<HttpPeer> {
    let address = match url.host.parse::<IpAddr>() {
        Ok(address) => (address, url.port).into(),
        Err(_) => first_address(url)
            .await
            .or_err(ErrorType::ConnectError, "name")?,
    };
    let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
    peer.options.total_connection_timeout = Some(EXPORT_TIMEOUT);
    peer.options.read_timeout = Some(EXPORT_TIMEOUT);
    peer.options.write_timeout = Some(EXPORT_TIMEOUT);
    Ok(peer)
}

async fn first_address(url: &FetchUrl) -> io::Result<std::net::SocketAddr> {
    let mut found = lookup_host((url.host.as_str(), url.port)).await?;
    found.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl ExportFailure {
    fn reason(&self) -> String {
        match self {
            Self::Late => "late".to_owned(),
            Self::Status(status) => status.as_str().to_owned(),
            Self::Exchange(error) => error.etype().as_str().to_owned(),
        }
    }
}
