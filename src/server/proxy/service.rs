//! The proxy service: its parts, and how it answers a request itself.

use std::sync::Arc;

use log::{error, info};
use pingora::Result;
use pingora::connectors::http::Connector;
use pingora_proxy::Session;

use super::answer::reply;
use super::body::budget::{BodyBudget, BodyShare};
use super::body::read_ahead;
use super::context::Context;
use super::handling::copy::CopySender;
use super::rate_limits::RateLimits;
use super::request_id::RequestIds;
use super::single_flight::SingleFlight;
use crate::request::{Answer, LogoutQuota, Refusal, Refused};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::keys::jwks::KeyFetcher;
use crate::server::operator::log_id::LogKey;
use crate::server::operator::metrics::Metrics;
use crate::server::operator::near_misses::NearMisses;
use crate::server::operator::recorder::Recorder;
use crate::server::process::self_probe::SelfProbe;
use crate::server::process::traffic::Traffic;
use crate::server::snapshot::{SharedSnapshot, Snapshot};

/// The proxy in front of the shops.
pub(crate) struct Proxy {
    /// The port of the first address with TLS.
    pub(crate) https_port: Option<u16>,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log_key: LogKey,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) near_misses: Arc<NearMisses>,
    /// Sends logouts, and asks about tokens; `None`: nothing is sent.
    pub(crate) connector: Option<Arc<Connector>>,
    pub(crate) copies: Arc<CopySender>,
    pub(crate) keys: Arc<KeyFetcher>,
    pub(crate) single_flight: SingleFlight,
    pub(crate) logout_quota: Arc<LogoutQuota>,
    pub(crate) rate_limits: RateLimits,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) self_probe: Arc<SelfProbe>,
}

impl Proxy {
    /// The share of this request in the budget for bodies.
    pub(crate) fn body_share(&self, session: &Session, snapshot: &Snapshot) -> BodyShare {
        let counted = snapshot.forwarding.counted_client_of(session);
        BodyShare::new(&self.body_budget, counted, &snapshot.limits)
    }

    /// Refuses a request: counted, logged, answered.
    pub(crate) async fn refuse(
        &self,
        session: &mut Session,
        context: &mut Context,
        refused: &Refused<'_>,
    ) -> Result<bool> {
        let snapshot = Arc::clone(&context.snapshot);
        context.shop = refused.shop.cloned();
        context.note(|outcome| {
            outcome.verdict = RecordedVerdict::Refused;
            outcome.refusal = Some(refused.refusal);
            outcome.place.clone_from(&refused.place);
        });
        let (place, route) = (refused.place.as_deref(), context.route());
        let route = route.map(|route| route.name.as_str());
        let request = context.id.as_str();
        let shop = refused.shop.map_or("", |shop| shop.name.as_str());
        let (reason, detail) = (refused.refusal.name(), refused.refusal.detail());
        self.metrics
            .note_decision(shop, reason, detail.unwrap_or_default());
        let head = session.req_header();
        let path = snapshot.gate.loggable_path(head.uri.path());
        let (method, path) = (head.method.as_str(), path.as_ref());
        let status = refused.refusal.status().as_u16();
        if let Refusal::RateLimited { limit, .. } = refused.refusal {
            self.log_limited(context, limit, head);
        } else if let Refusal::Revoked { token, by, .. } = refused.refusal {
            let token = self.log_key.name(&token);
            let ending = self.recorder.endings.of(&by);
            let revoked_at = ending.as_ref().map(|ending| ending.at.to_string());
            let revoked_at = revoked_at.as_deref();
            let rule = ending.as_ref().map(|ending| ending.rule.as_str());
            let revoked_by = ending.as_ref().and_then(|ending| ending.request.as_deref());
            let node = self.recorder.node.as_deref().filter(|_| ending.is_some());
            info!(request, shop, reason, detail, place, token:%, route, method, path, revoked_at, revoked_on = node, revoked_rule = rule, revoked_by; "refused");
        } else if refused.refusal == Refusal::NotDurable {
            error!(request, shop, reason, method, path; "a logout is not on disk");
        } else if let Some((claim, found)) = refused.refusal.claim() {
            info!(request, shop, reason, detail, claim, found, place, route, status, method, path; "refused");
        } else {
            info!(request, shop, reason, detail, place, route, status, method, path; "refused");
        }
        let mut answer = refused.answer_naming(head, request);
        context.put_error_page(&mut answer, head);
        if refused.refusal == Refusal::ReadAheadFull && session.is_http2() {
            // The rest of the body would cost memory, so the stream is reset after the answer (RFC 9113 section 8.1).
            reply::write(session, &answer).await?;
            return Ok(true);
        }
        self.answer(session, &answer).await
    }

    /// Answers instead of the shop, and keeps the connection if that is safe.
    pub(crate) async fn answer(&self, session: &mut Session, answer: &Answer) -> Result<bool> {
        if self.traffic.is_closing() {
            session.set_keepalive(None);
        }
        if !session.is_http2() && !read_ahead::is_short(session) {
            session.set_keepalive(None);
        }
        // The rest of the body is read and discarded, so that it is not taken for a request.
        session.set_close_on_response_before_downstream_finish(false);
        reply::write(session, answer).await?;
        if read_ahead::would_be_cut_off(session) {
            read_ahead::throw_away(session).await;
        }
        Ok(true)
    }
}
