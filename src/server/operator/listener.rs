//! The operator listener: metrics and health. It changes nothing, and belongs on loopback. The health listener: health alone.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use prometheus_client::encoding::text;

use super::exposition::Exposition;
use super::gauges::Measured;
use super::metrics::Metrics;
use super::process_stats;
use super::readiness::{ReadinessCheck, ReadinessReport};
use crate::request::{Request, host_of};
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::process::traffic::Traffic;
use crate::server::proxy::body::budget::BodyBudget;
use crate::server::reload::Reloader;
use crate::server::snapshot::SharedSnapshot;

/// Answers `/metrics`, `/livez` and `/readyz`.
#[derive(Clone)]
pub(crate) struct OperatorPages {
    pub(crate) audience: Audience,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) reloads: Arc<Reloader>,
}

/// Who reaches the pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The operator.
    Operator,
    /// A probe, or anybody: one word of health, and nothing else.
    Anyone,
}

#[async_trait]
impl ServeHttp for OperatorPages {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let own = session.server_addr().and_then(|address| address.as_inet());
        let own = own.map(|address| address.ip().to_canonical());
        let head = session.req_header();
        if self.audience == Audience::Anyone {
            return self.health_page(head);
        }
        if !self.is_known_host(head, own) {
            let help = "unknown Host: add it to operator_hosts\n";
            return page(StatusCode::MISDIRECTED_REQUEST, help);
        }
        match (&head.method, head.uri.path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                self.metrics_page(Exposition::accepted(&head.headers))
            }
            (&Method::GET | &Method::HEAD, "/livez") => page(StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(head.uri.query()),
            (_, "/metrics" | "/livez" | "/readyz") => {
                page(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
            }
            _ => page(StatusCode::NOT_FOUND, "/metrics, /livez, /readyz\n"),
        }
    }
}

impl OperatorPages {
    /// Whether the host is one that a foreign page can't use (DNS rebinding): an address of ours, or a listed name.
    /// Clients without a `Host` are no browsers.
    fn is_known_host(&self, head: &Parts, own: Option<IpAddr>) -> bool {
        if head.uri.authority().is_none() && !head.headers.contains_key(HOST) {
            return true;
        }
        let Ok(host) = host_of(&Request::new(head, None)) else {
            return false;
        };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_ours = address.is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || Some(address) == own
        });
        is_ours
            || host.eq_ignore_ascii_case("localhost")
            || self
                .snapshot
                .load()
                .operator_hosts
                .iter()
                .any(|known| known.claims(host))
    }

    fn metrics_page(&self, format: Exposition) -> Response<Vec<u8>> {
        match self.metrics_text() {
            Ok(text) => {
                let text = format.write(text);
                with_type(StatusCode::OK, format.content_type(), text)
            }
            Err(_) => page(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics could not be written\n",
            ),
        }
    }

    /// The pages for probes. Their `Host` does not count: they tell nothing that a foreign page could use.
    fn health_page(&self, head: &Parts) -> Response<Vec<u8>> {
        let is_read = head.method == Method::GET || head.method == Method::HEAD;
        match (head.uri.path(), is_read) {
            ("/livez", true) => page(StatusCode::OK, "alive\n"),
            ("/readyz", true) if self.is_ready() => page(StatusCode::OK, "ready\n"),
            ("/readyz", true) => page(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            ("/livez" | "/readyz", false) => page(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
            _ => page(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    fn is_ready(&self) -> bool {
        !self.checks().iter().any(ReadinessCheck::is_bad)
    }

    fn checks(&self) -> Vec<ReadinessCheck> {
        ReadinessReport {
            snapshot: &self.snapshot.load(),
            traffic: &self.traffic,
            notify: &self.reloads.notify,
            reloads: &self.reloads.record,
            node: self.reloads.node.as_deref(),
        }
        .checks()
    }

    /// What was counted and what is measured, in the `OpenMetrics` text format.
    fn metrics_text(&self) -> Result<String, fmt::Error> {
        let snapshot = self.snapshot.load();
        self.metrics.begin(snapshot.gate.shops());
        let measured = Measured {
            snapshot: &snapshot,
            connections: self.limiter.open(),
            read_ahead_bytes: self.body_budget.kept(),
            in_flight: self.traffic.in_flight(),
            is_draining: self.traffic.is_draining(),
            reloads: &self.reloads.record,
            node: self.reloads.node.as_deref(),
        };
        let mut page = String::new();
        text::encode_registry(&mut page, self.metrics.registry())?;
        text::encode_registry(&mut page, &measured.registry())?;
        text::encode_registry(&mut page, &process_stats::registry())?;
        text::encode_eof(&mut page)?;
        Ok(page)
    }

    /// The failed checks, or with `verbose` all of them.
    fn readiness(&self, query: Option<&str>) -> Response<Vec<u8>> {
        let checks = self.checks();
        let is_verbose = query.is_some_and(|query| query.split('&').any(|one| one == "verbose"));
        let is_ready = !checks.iter().any(ReadinessCheck::is_bad);
        let told = checks.iter().filter(|check| is_verbose || check.is_bad());
        let mut text: String = told.map(ReadinessCheck::line).collect();
        let status = if is_ready {
            text.push_str("ready\n");
            StatusCode::OK
        } else {
            text.push_str("not ready\n");
            StatusCode::SERVICE_UNAVAILABLE
        };
        page(status, &text)
    }
}

fn page(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

/// A whole answer. Pingora adds its length.
pub(crate) fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response<Vec<u8>> {
    let mut response = Response::new(text.into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    let length = response.body().len();
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, length.into());
    response
}
