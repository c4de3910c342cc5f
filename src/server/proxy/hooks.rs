//! The hooks of the proxy: every request is judged before anything reaches a shop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Version};
use log::{debug, info, warn};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::modules::http::compression::ResponseCompressionBuilder;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use super::answer::failure::refusal_of;
use super::answer::hsts::HstsBuilder;
use super::answer::request_id::{self, RequestIdBuilder};
use super::answer::token_response::TokenResponse;
use super::answer::{dead_cookies, reply};
use super::body::read_ahead;
use super::context::Context;
use super::decision::{self, Decision};
use super::handling::body_limit::BODY_TOO_LARGE;
use super::handling::copy::CopyState;
use super::handling::retries::RETRIED_STATUS;
use super::handling::{body_limit, compression, retries, split, sticky, timeouts};
use super::hop_headers;
use super::incoming::{has_answered, request_of};
use super::recording::{Recording, error_of};
use super::routing;
use super::service::Proxy;
use super::stream::{self, STREAM_SILENCE_MAX};
use super::waiting::{self, REVOKED};
use crate::clock;
use crate::request::{Answer, Arrived, Refusal, Refused, Request, RetryCause, Shop, Verdict};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::connection::revocation_watch::{RevocationWatch, TokenReader};
use crate::server::connection::state::ConnectionState;
use crate::server::snapshot::Snapshot;

/// How long a request waits for the key that its token names.
const KEY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the rest of a refused request's body may take to arrive.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.snapshot.load_full(), self.traffic.begin_request())
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        modules.add_module(ResponseCompressionBuilder::enable(0)); // as Pingora does by itself
        modules.add_module(Box::new(HstsBuilder));
        modules.add_module(Box::new(RequestIdBuilder));
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<()> {
        if let Some(state) = ConnectionState::of_session(session.digest()) {
            state.begin_request();
        }
        let limits = &context.snapshot.limits;
        context.id = context
            .snapshot
            .forwarding
            .id_of(session, &self.request_ids);
        request_id::prepare(session, &context.id);
        context.recording = Some(Recording::begin(&self.recorder, session, &context.snapshot));
        if session.req_header().version == Version::HTTP_10 {
            session.set_keepalive(None); // RFC 9112 section 9.3
        } else if session.get_keepalive().is_some() {
            session.set_keepalive(Some(limits.keepalive.as_secs()));
        }
        session.set_read_timeout(Some(limits.body_timeout));
        if session.is_http2() {
            session.set_write_timeout(Some(limits.body_timeout));
        }
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        Ok(())
    }

    /// Judges the request and acts on the verdict.
    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        if self.self_probe.is_own(session.req_header()) {
            return self.answer_probe(session, context).await;
        }
        let snapshot = Arc::clone(&context.snapshot);
        match self.decide(session, context, &snapshot).await? {
            Decision::Redirected(answer) => {
                let shop = context.shop.as_ref().map_or("", |shop| shop.name.as_str());
                self.metrics.note_decision(shop, "redirected", "");
                context.note_verdict(RecordedVerdict::Redirected);
                self.answer(session, &answer).await
            }
            Decision::Answered(answer) => {
                context.note_verdict(RecordedVerdict::Answered);
                self.answer(session, &answer).await
            }
            Decision::Refused(refused) => self.refuse(session, context, &refused).await,
            Decision::Forwarded(request) => {
                if let Some(answer) = self.begin_forwarding(session, context, request) {
                    return self.answer(session, &answer).await;
                }
                if stream::is_itself(session.req_header()) {
                    RevocationWatch::begin_stream();
                    self.reread_tokens(session);
                }
                Ok(false)
            }
            Decision::LogOut(logout, body) => self.log_out(session, context, logout, body).await,
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        let from = context.snapshot.forwarding.ends_of(session);
        let attempts = context.attempts()?;
        let server = waiting::choose_server(session, attempts, from).await?;
        let upstreams = Arc::clone(attempts.upstreams());
        context.note(|outcome| outcome.server = Some(Arc::clone(&server)));
        let head = session.req_header();
        let mut peer = if session.is_upgrade_req() && stream::is_web_socket(head) {
            upstreams.handshake_peer(&server, from)?
        } else {
            upstreams.peer(&server, Some(from))?
        };
        let timeouts = context.handling().map(|handling| handling.timeouts);
        timeouts::set(timeouts.unwrap_or_default(), &mut peer);
        if stream::is_wanted(head) {
            let silence = peer.options.read_timeout;
            peer.options.read_timeout = silence.map(|silence| silence.max(STREAM_SILENCE_MAX));
        }
        Ok(Box::new(peer))
    }

    /// Nothing was sent yet: another server may have it.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let has_other = context
            .attempts()
            .is_ok_and(|attempts| attempts.note_unreachable(&error));
        let is_retried = has_other || self.retries(session, context, RetryCause::Connect);
        error.set_retry(is_retried);
        error
    }

    /// A request that the shop may have acted on is not sent twice (RFC 9110 section 9.2.2): only an idempotent one, whose
    /// body is still here, and only where the connection was an old one that had died before its answer began, or where its route says
    /// so.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        is_old: bool,
    ) -> Box<Error> {
        if *error.etype() == RETRIED_STATUS {
            return error; // the server has answered, and its answer was dropped
        }
        let is_repeatable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        if is_repeatable {
            error.retry.decide_reuse(is_old);
        } else {
            error.set_retry(false);
        }
        let grew_silent =
            stream::is_wanted(session.req_header()) && *error.etype() == ErrorType::ReadTimedout;
        if *error.esource() == ErrorSource::Upstream && !error.retry() && !grew_silent {
            context.note_failure(error.etype().as_str());
            let is_retried = self.retries_after(session, context, &error);
            error.set_retry(is_retried);
        }
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        if context.is_long() || !Arc::ptr_eq(&self.snapshot.load(), &context.snapshot) {
            self.reread_tokens(session); // it may have waited for a server
        }
        if RevocationWatch::begin_sending().is_err() {
            return Err(Error::new(REVOKED));
        }
        let upstreams = Arc::clone(context.attempts()?.upstreams());
        let sent_to = (context.dead_cookies.as_slice(), &*upstreams);
        decision::write_as_sent(session, context, sent_to, upstream)?;
        read_ahead::answer_expectation(session, upstream).await?;
        if let Some(token_response) = &context.token_response {
            token_response.request_identity_encoding(upstream);
        }
        context.attempts()?.note_sending();
        retries::note_sending(context);
        context.unsent = context.read_ahead.clone();
        context.body_sent = 0;
        self.begin_copy(session, context, upstream);
        Ok(())
    }

    /// An empty frame that ends a body of HTTP/2 would reach a shop of HTTP/1.1 as a second last chunk, and be the
    /// beginning of the next customer's request (cloudflare/pingora#935).
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Context,
    ) -> Result<()> {
        if !context.unsent.is_empty() {
            let unsent = std::mem::take(&mut context.unsent);
            let rest = body.take().unwrap_or_default();
            *body = Some([unsent, rest].concat().into());
        }
        if is_end {
            body.take_if(|body| body.is_empty());
        }
        body_limit::count(session, context, body.as_ref())?;
        self.copy_body(session, context, body.as_ref(), is_end);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        hop_headers::remove_from_answer(response, session.req_header().version)?;
        if response.status.is_informational() {
            return Ok(());
        }
        context.attempts()?.learn_clock(response);
        if let Some(dropped) = self.retry_instead_of(session, context, response.status) {
            return Err(dropped);
        }
        if response.status.is_success() {
            context.note_accepted();
        }
        if let Some(shop) = &context.shop {
            shop.note_set_cookies(&response.headers, session.req_header().uri.path());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        self.record_issue_by_head(response, context).await;
        if !response.status.is_informational() {
            routing::change_response(session, context, response)?;
            compression::begin(session.req_header(), response, context)?;
            split::set_cookie(context, response)?;
            sticky::set_cookie(session, context, response)?;
        }
        if session.req_header().version == Version::HTTP_10 {
            // It can't read chunks (RFC 9112 section 6.1): the end of the connection ends the body.
            response.remove_header(&TRANSFER_ENCODING);
        }
        let is_informational = response.status.is_informational();
        if is_informational || response.status == StatusCode::NO_CONTENT {
            // RFC 9110 section 8.6: no body, no length.
            response.remove_header(&CONTENT_LENGTH);
            response.remove_header(&TRANSFER_ENCODING);
        }
        if !is_informational || response.status == StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status.as_u16();
            context.note(|outcome| outcome.status = Some(status));
        }
        if !is_informational && !response.headers.contains_key(DATE) {
            response.insert_header(DATE, reply::date())?; // RFC 9110 section 6.6.1; Pingora does so on HTTP/1.1 only
        }
        if !is_informational || response.status == StatusCode::SWITCHING_PROTOCOLS {
            dead_cookies::delete(context, session, response)?;
        }
        if self.traffic.is_closing() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            session.set_keepalive(None);
        }
        let is_stream = stream::is_begun(response);
        if is_stream || !is_informational {
            RevocationWatch::begin_answer(is_stream);
            if is_stream || context.is_long() {
                self.reread_tokens(session);
            }
        }
        if is_stream {
            session.set_read_timeout(None); // the customer may listen without sending
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        if context.is_long() {
            self.reread_tokens(session);
        }
        self.record_issue_by_body(body, is_end, context);
        compression::encode(body, is_end, context)?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        context: &mut Context,
    ) -> Result<Option<Bytes>> {
        let mut body = self.record_issue_by_trailers(context);
        compression::encode(&mut body, true, context)?;
        Ok(body)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let closed = FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
        if has_answered(session) {
            return closed;
        }
        let refusal = RevocationWatch::refusal_of_waiting();
        if let (Some(refusal), Some(shop)) = (refusal, context.shop.clone()) {
            let refused = Refused::for_shop(&shop, context.api, refusal);
            if let Err(error) = self.refuse(session, context, &refused).await {
                debug!("the client closed the connection before the answer: {error}");
            }
            return FailToProxy {
                error_code: refusal.status().as_u16(),
                can_reuse_downstream: false,
            };
        }
        let Some((answer, code)) = failure(session, error, context) else {
            return closed;
        };
        request_id::prepare(session, &context.id);
        session.set_keepalive(None); // the rest of the exchange is not worth the connection
        if let Err(error) = reply::write(session, &answer).await {
            debug!("the client closed the connection before the answer: {error}");
        }
        if *error.etype() == BODY_TOO_LARGE {
            self.metrics.note_limit("body_limit");
            read_ahead::throw_away(session).await;
        }
        FailToProxy {
            error_code: code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if context.is_own {
            return;
        }
        context.note_end(error);
        let answer = session.response_written();
        let code = answer
            .filter(|_| has_answered(session))
            .map_or(0, |response| response.status.as_u16());
        let shop = context.shop.as_ref().map_or("", |shop| shop.name.as_str());
        self.metrics.note_request(shop, code);
        let took = clock::instant().duration_since(context.begun);
        self.metrics.note_duration(shop, took);
        if error.is_some_and(is_too_slow) {
            self.metrics.note_limit("body_timeout");
        }
        if let Some(error) = error.filter(|error| *error.etype() != REVOKED) {
            let request = context.id.as_str();
            let path = session.req_header().uri.path();
            let path = context.snapshot.gate.loggable_path(path);
            let (path, why) = (path.as_ref(), error.etype().as_str());
            let code = Some(code).filter(|code| *code > 0);
            if *error.esource() == ErrorSource::Downstream {
                debug!(request, shop, code, path; "the client ended the request: {why}");
            } else {
                warn!(request, shop, code, path; "request failed: {why}");
            }
        }
        let bytes = session.body_bytes_sent();
        context.note(|outcome| {
            outcome.status = Some(code).filter(|code| *code > 0);
            outcome.bytes = Some(bytes);
            outcome.error = error
                .filter(|error| *error.etype() != REVOKED)
                .map(error_of);
        });
        context.finish_recording();
    }

    /// Without the query and without possible credentials in the path.
    fn request_summary(&self, session: &Session, context: &Context) -> String {
        let head = session.req_header();
        format!(
            "{} {}",
            head.method,
            context.snapshot.gate.loggable_path(head.uri.path())
        )
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true // `logging` says it, in one line and without the query
    }
}

impl Proxy {
    /// The request lasts: under a later configuration its tokens may have other keys.
    pub(crate) fn reread_tokens(&self, session: &Session) {
        RevocationWatch::reread_with(|| TokenReader {
            snapshot: Arc::clone(&self.snapshot),
            head: Parts::clone(session.req_header()),
        });
    }

    /// The verdict, after the introspection of tokens that can't be verified here.
    pub(super) async fn judge<'s>(
        &self,
        session: &Session,
        context: &mut Context,
        snapshot: &'s Snapshot,
        body: Option<&[u8]>,
    ) -> Result<Verdict<'s>, Refused<'s>> {
        context.judged_at = snapshot.gate.revocations().changes();
        let begun = clock::instant();
        let request = request_of(session, snapshot, body);
        let mut arrived = snapshot.gate.arrive(&request).inspect_err(|_| {
            self.note_overhead(begun);
        })?;
        context.api = arrived.api();
        if context.is_counted {
            arrived.note_counted();
        }
        context.route = arrived.route().cloned();
        context.holding = split::choose(session, context, &self.request_ids);
        let mut judged = self.judge_with_keys(&arrived, begun).await;
        if let Ok(Verdict::Introspect(shop, pending)) = judged {
            self.introspect(session, context, shop, &pending).await;
            arrived.note_asked();
            judged = arrived.judge(clock::now());
        }
        let judged = arrived.observe(judged);
        if judged.is_ok() && self.is_body_too_large(session, context, arrived.shop()) {
            return Err(arrived.refuse(Refusal::BodyTooLarge));
        }
        if let Ok(Verdict::Forward { shop, .. }) = &judged {
            let is_near_miss = arrived.nearly_logs_out();
            if is_near_miss {
                self.metrics.note_near_miss(&shop.name);
                self.near_misses.log(&context.id, shop, &request);
            }
            context.token_response = TokenResponse::of_request(&arrived);
            let issues_tokens = context.token_response.is_some();
            if arrived.is_judged_visit() && !is_near_miss && !issues_tokens {
                context.copy = CopyState::Wanted;
            }
        }
        self.within_limits(session, context, &arrived, judged)
    }

    /// Judges the request. If a token names a missing key, the keys are fetched and the request is judged again.
    async fn judge_with_keys<'s>(
        &self,
        request: &Arrived<'s, '_>,
        begun: Instant,
    ) -> Result<Verdict<'s>, Refused<'s>> {
        let mut judging_since = begun;
        loop {
            let judged = request.judge(clock::now());
            self.note_overhead(judging_since);
            let shop = match &judged {
                Err(refused) if refused.refusal == Refusal::KeyPending => refused.shop,
                Ok(_) | Err(_) => return judged,
            };
            let waited = clock::instant().duration_since(begun);
            let patience = KEY_TIMEOUT.saturating_sub(waited);
            let (Some(shop), false) = (shop, patience.is_zero()) else {
                return judged;
            };
            if !self.keys.bring(shop, patience).await {
                return judged;
            }
            judging_since = clock::instant();
        }
    }

    /// Measures how long judging a request took.
    fn note_overhead(&self, begun: Instant) {
        let took = clock::instant().duration_since(begun);
        self.metrics.note_overhead(took);
    }

    /// A request goes to the shop, without its dead cookies.
    pub(super) fn note_forwarded(&self, context: &mut Context, shop: &Shop, dead_cookies: usize) {
        context.note_verdict(RecordedVerdict::Forwarded);
        let shop = shop.name.as_str();
        if dead_cookies == 0 {
            self.metrics.note_decision(shop, "forwarded", "");
        } else {
            self.metrics.note_decision(shop, "forwarded", "dead_cookie");
            let request = context.id.as_str();
            info!(request, shop, dead_cookies; "forwarded without dead cookies");
        }
    }

    /// A self-probe: judged like any request, then answered without a shop, metrics or log.
    async fn answer_probe(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.is_own = true;
        let request = Request::new(session.req_header(), None);
        drop(context.snapshot.gate.judge(&request, clock::now()));
        let answer = Answer {
            status: StatusCode::NO_CONTENT,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        self.answer(session, &answer).await
    }
}

/// The answer to the customer if the shop did not answer. `None`: the customer is gone.
fn failure(session: &Session, error: &Error, context: &mut Context) -> Option<(Answer, u16)> {
    let refusal = refusal_of(error)?;
    context.note(|outcome| outcome.refusal = Some(refusal));
    let refused = Refused {
        refusal,
        shop: context.shop.as_ref(),
        api: context.api,
        words: None,
        dead_cookies: Vec::new(),
        place: None,
    };
    let mut answer = refused.answer_naming(session.req_header(), &context.id);
    context.put_error_page(&mut answer, session.req_header());
    Some((answer, refusal.status().as_u16()))
}

/// Whether a customer was silent for too long in the middle of a body.
fn is_too_slow(error: &Error) -> bool {
    let late = matches!(
        error.etype(),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout
    );
    late && *error.esource() == ErrorSource::Downstream
}
