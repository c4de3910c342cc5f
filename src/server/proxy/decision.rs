//! What becomes of a request, decided before anything is done about it: a rehearsal ends here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::COOKIE;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::answer::{dead_cookies, ecwid, hsts, request_id};
use super::checks::{framing, hops, target};
use super::context::Context;
use super::routing;
use super::service::Proxy;
use crate::request::{
    self, Answer, DeadCookie, LogOut, Observed, Refusal, Refused, Shop, Subject, Tokens, Verdict,
};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::snapshot::Snapshot;
use crate::server::upstream::Upstreams;

/// What becomes of a request.
pub(crate) enum Decision<'s> {
    /// Its listener or its host redirects it.
    Redirected(Answer),
    /// Doorward answers it by itself.
    Answered(Answer),
    /// It is refused.
    Refused(Refused<'s>),
    /// It goes to a shop.
    Forwarded(ForwardedRequest<'s>),
    /// It is a logout; beside it its body, if that was read.
    LogOut(Box<LogOut>, Option<Bytes>),
}

/// A request that goes to a shop: [`Verdict::Forward`].
pub(crate) struct ForwardedRequest<'s> {
    pub(crate) shop: &'s Arc<Shop>,
    tokens: Tokens,
    is_demanded: bool,
    dead_cookies: Vec<DeadCookie>,
    subject: Option<Subject>,
    pub(crate) observed: Option<Observed>,
}

impl Proxy {
    /// What becomes of a request. Nothing is sent to a client, and nothing to a shop, but what must be asked about its tokens.
    pub(crate) async fn decide<'s>(
        &self,
        session: &mut Session,
        context: &mut Context,
        snapshot: &'s Snapshot,
    ) -> Result<Decision<'s>> {
        hsts::prepare(session, snapshot);
        if let Some(refused) = refused_by_frame(session, snapshot) {
            return Ok(Decision::Refused(refused));
        }
        if let Some(answer) = snapshot.acme.challenges.http_answer(session.req_header()) {
            return Ok(Decision::Answered(answer)); // an authority asks, whatever the host
        }
        match self.redirect_at_listener(session, context)? {
            Ok(None) => {}
            Ok(Some(answer)) => return Ok(Decision::Redirected(answer)),
            Err(refusal) => return Ok(Decision::Refused(Refused::without_shop(refusal))),
        }
        let body = match self.read_ahead(session, context, snapshot).await? {
            Ok(body) => body,
            Err(refused) => {
                let refused = self.within_failures(session, context, refused);
                return Ok(Decision::Refused(refused));
            }
        };
        let examined = body.as_ref().and_then(|body| body.examined.as_deref());
        Ok(
            match self.judge(session, context, snapshot, examined).await {
                Ok(Verdict::Introspect(shop, _)) => {
                    Decision::Refused(Refused::for_shop(shop, context.api, Refusal::Unconfirmed))
                }
                Ok(Verdict::Forward {
                    shop,
                    tokens,
                    is_demanded,
                    dead_cookies,
                    subject,
                    observed,
                }) => Decision::Forwarded(ForwardedRequest {
                    shop,
                    tokens,
                    is_demanded,
                    dead_cookies,
                    subject,
                    observed,
                }),
                Ok(Verdict::LogOut(logout)) => Decision::LogOut(logout, body.map(|body| body.sent)),
                Ok(Verdict::Preflight) => {
                    Decision::Answered(request::preflight(session.req_header()))
                }
                Ok(Verdict::Script) => {
                    Decision::Answered(ecwid::script(&session.req_header().headers))
                }
                Err(refused) => Decision::Refused(self.within_failures(session, context, refused)),
            },
        )
    }

    /// Takes down that a request goes to its shop; the answer of its route, if that leads to no server.
    pub(crate) fn begin_forwarding(
        &self,
        session: &mut Session,
        context: &mut Context,
        request: ForwardedRequest<'_>,
    ) -> Option<Answer> {
        let shop = request.shop;
        if let Some(observed) = request.observed {
            request_id::withhold(session);
            context.would = self.note_observed(session, context, shop, observed);
        } else {
            self.note_forwarded(context, shop, request.dead_cookies.len());
        }
        let has_cookies = has_cookies(session.req_header());
        context.note_opaque(&request.tokens, request.is_demanded && !has_cookies);
        let watched = match request.observed {
            Some(_) => Tokens::new(),
            None => request.tokens,
        };
        context.forward_to(shop, watched);
        context.dead_cookies = request.dead_cookies;
        context.subject = request.subject;
        let answer = routing::answer(session, context)?;
        request_id::prepare(session, &context.id);
        context.note_verdict(RecordedVerdict::Answered);
        Some(answer)
    }
}

/// Writes the head of a request as the shop is sent it.
pub(crate) fn write_as_sent(
    session: &Session,
    context: &Context,
    (dead_cookies, upstreams): (&[DeadCookie], &Upstreams),
    head: &mut RequestHeader,
) -> Result<()> {
    dead_cookies::take_out(dead_cookies, head)?;
    let facts = context.facts(session, upstreams);
    context.snapshot.forwarding.rewrite(session, facts, head)?;
    target::make_origin_form(head);
    routing::change_request(session, context, head)
}

/// A refusal by the framing and the way alone.
fn refused_by_frame<'s>(session: &mut Session, snapshot: &Snapshot) -> Option<Refused<'s>> {
    let is_endless = hops::are_endless(&session.req_header().headers);
    let refusal = framing::fault_of(session, &snapshot.limits)
        .or_else(|| is_endless.then_some(Refusal::LoopDetected))?;
    if framing::is_about_body(refusal) {
        session.set_keepalive(None);
    }
    Some(Refused::without_shop(refusal))
}

/// Whether a request carries cookies, by one of which the shop may know its customer.
fn has_cookies(head: &RequestHeader) -> bool {
    head.headers.contains_key(COOKIE)
}
