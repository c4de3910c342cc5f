//! A request that is only observed: what would have become of it is counted and logged.

use log::info;
use pingora_proxy::Session;

use super::context::Context;
use super::service::Proxy;
use crate::request::{Observed, Refusal, Shop};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::operator::known_labels::DEAD_COOKIE;

impl Proxy {
    /// A request goes to the shop, whatever its credentials are. Returns the reason for which it would not, in one word.
    pub(crate) fn note_observed(
        &self,
        session: &Session,
        context: &mut Context,
        shop: &Shop,
        observed: Observed,
    ) -> Option<&'static str> {
        let name = shop.name.as_str();
        let observed = match (observed, context.unread) {
            (Observed::Forwarded, Some(refusal)) => Observed::Refused(refusal),
            (observed, _) => observed,
        };
        context.note_verdict(RecordedVerdict::Forwarded);
        match observed {
            Observed::Forwarded => {
                self.metrics.note_decision(name, "forwarded", "");
                None
            }
            Observed::WithoutCookies(dead_cookies) => {
                self.metrics.note_decision(name, "forwarded", "observed");
                self.metrics.note_would_refuse(name, DEAD_COOKIE, "");
                let request = context.id.as_str();
                info!(request, shop = name, dead_cookies; "would be forwarded without dead cookies");
                Some(DEAD_COOKIE)
            }
            Observed::Refused(refusal) => {
                self.metrics.note_decision(name, "forwarded", "observed");
                context.note(|outcome| outcome.would = Some(refusal));
                let detail = refusal.detail().unwrap_or_default();
                self.metrics.note_would_refuse(name, refusal.name(), detail);
                self.log_observed(session, context, shop, refusal);
                Some(refusal.name())
            }
        }
    }

    fn log_observed(&self, session: &Session, context: &Context, shop: &Shop, refusal: Refusal) {
        let head = session.req_header();
        let path = context.snapshot.gate.loggable_path(head.uri.path());
        let (request, shop) = (context.id.as_str(), shop.name.as_str());
        let (reason, detail) = (refusal.name(), refusal.detail());
        let (method, path) = (head.method.as_str(), path.as_ref());
        if let Refusal::Revoked { token, .. } = refusal {
            let token = self.log_key.name(&token);
            info!(request, shop, reason, detail, token:%, method, path; "would be refused");
        } else if let Some((claim, found)) = refusal.claim() {
            info!(request, shop, reason, detail, claim, found, method, path; "would be refused");
        } else {
            info!(request, shop, reason, detail, method, path; "would be refused");
        }
    }
}
