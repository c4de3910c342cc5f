//! The operator's listener: metrics and health. It changes nothing, and belongs on loopback.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::connection::Slots;
use super::metrics::Metrics;
use super::reload::Reloads;
use super::site::Served;
use super::traffic::Traffic;

/// Answers `/metrics`, `/livez` and `/readyz`.
pub(super) struct Operator {
    pub(super) served: Served,
    pub(super) slots: Arc<Slots>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) reloads: Arc<Reloads>,
}

#[async_trait]
impl ServeHttp for Operator {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        match (&head.method, head.uri.path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics_page(),
            (&Method::GET | &Method::HEAD, "/livez") => page(StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(),
            (_, "/metrics" | "/livez" | "/readyz") => {
                page(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
            }
            _ => page(StatusCode::NOT_FOUND, "/metrics, /livez, /readyz\n"),
        }
    }
}

impl Operator {
    fn metrics_page(&self) -> Response<Vec<u8>> {
        match self.metrics.text(&self.served.load(), self.slots.open()) {
            Ok(text) => with_type(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text,
            ),
            Err(_) => page(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics could not be written\n",
            ),
        }
    }

    /// A node whose journal takes no writes still refuses what is revoked, but can't answer a logout; and a shop
    /// whose keys were never fetched has no token that could be verified.
    fn readiness(&self) -> Response<Vec<u8>> {
        let site = self.served.load();
        let mut why = Vec::new();
        if self.traffic.is_draining() {
            why.push("draining\n".to_owned());
        }
        if !site.gate.revocations().journal().is_writable() {
            why.push("the journal can't be written\n".to_owned());
        }
        let shops = site.gate.shops().iter();
        for shop in shops.filter(|shop| !shop.verifier.has_keys()) {
            let failure = shop.verifier.ring().state().failure.unwrap_or("not yet");
            let name = &shop.name;
            why.push(format!(
                "shop {name}: its keys were never fetched: {failure}\n"
            ));
        }
        if why.is_empty() {
            page(StatusCode::OK, "ready\n")
        } else {
            page(StatusCode::SERVICE_UNAVAILABLE, &why.concat())
        }
    }
}

fn page(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

/// A whole answer. Pingora adds its length.
pub(super) fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response<Vec<u8>> {
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
