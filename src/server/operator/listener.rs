//! The operator listener: the dashboard, metrics and health. It changes nothing, and belongs on loopback. The health listener:
//! health alone.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use prometheus_client::encoding::text;
use serde_json::json;

use super::dashboard::{DashboardFeed, dashboard_page};
use super::explain::decisions;
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

/// Answers with the dashboard, `/metrics`, `/livez` and `/readyz`.
#[derive(Clone)]
pub(crate) struct OperatorPages {
    pub(crate) audience: Audience,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) reloads: Arc<Reloader>,
    pub(crate) feed: Arc<DashboardFeed>,
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
        let answer = self.refusal(session);
        shielded(answer.unwrap_or_else(|| self.answer(session.req_header())))
    }
}

/// The path of the events of the dashboard.
pub(super) const EVENTS: &str = "/events";

/// The paths that belong to the dashboard's own page: what a page of another site must not read.
const OF_DASHBOARD: [&str; 2] = [EVENTS, "/explain"];

impl OperatorPages {
    /// The answer to a request that a foreign page may have sent; `None`: there is nothing wrong with it.
    pub(super) fn refusal(&self, session: &ServerSession) -> Option<Response<Vec<u8>>> {
        let own = session.server_addr().and_then(|address| address.as_inet());
        let own = own.map(|address| address.ip().to_canonical());
        let head = session.req_header();
        if self.audience == Audience::Anyone {
            return Some(self.health_page(head));
        }
        if !self.is_known_host(head, own) {
            let help = "unknown Host: add it to operator_hosts\n";
            return Some(page(StatusCode::MISDIRECTED_REQUEST, help));
        }
        if OF_DASHBOARD.contains(&head.uri.path()) && is_cross_site(head) {
            let help = "only for the dashboard itself\n";
            return Some(page(StatusCode::FORBIDDEN, help));
        }
        None
    }

    fn answer(&self, head: &Parts) -> Response<Vec<u8>> {
        match (&head.method, head.uri.path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                self.metrics_page(Exposition::accepted(&head.headers))
            }
            (&Method::GET | &Method::HEAD, "/livez") => page(StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(head.uri.query()),
            (&Method::GET | &Method::HEAD, "/") => dashboard_page(),
            (&Method::GET, EVENTS) => page(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many dashboards are open\n",
            ),
            (&Method::GET, "/explain") => self.explanation(head.uri.query()),
            (_, "/" | EVENTS | "/explain" | "/metrics" | "/livez" | "/readyz") => {
                page(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
            }
            _ => page(
                StatusCode::NOT_FOUND,
                "/ (the dashboard), /metrics, /livez, /readyz\n",
            ),
        }
    }

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

    /// What was decided about the request that the query names.
    fn explanation(&self, query: Option<&str>) -> Response<Vec<u8>> {
        let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let wanted = pairs.find(|(name, _)| name == "request");
        let wanted = wanted.map(|(_, id)| id.into_owned()).unwrap_or_default();
        let (recorder, snapshot) = (&self.feed.recorder, self.snapshot.load());
        let node = self.reloads.node.as_deref();
        let revocations = snapshot.gate.revocations();
        let found = decisions(recorder, revocations, node, wanted.trim());
        let status = if found.is_empty() {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        let told = json!({ "node": recorder.node, "decisions": found });
        with_type(status, "application/json", told.to_string())
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

/// Whether a browser says that a page of another site sent this. Without these lines it is no browser, or an old one, which
/// lets no foreign page read the answer either.
fn is_cross_site(head: &Parts) -> bool {
    let site = head.headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// The answer with what keeps it to this origin and out of caches.
pub(super) fn shielded<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let here = HeaderValue::from_static("same-origin");
    headers.insert("cross-origin-resource-policy", here.clone());
    headers.insert("cross-origin-opener-policy", here);
    response
}

fn page(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

/// A whole answer. Pingora adds its length.
pub(crate) fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response<Vec<u8>> {
    let mut response = Response::new(text.into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let length = response.body().len();
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, length.into());
    response
}
