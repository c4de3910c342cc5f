//! The context of one request while it is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use pingora::{Error, ErrorType, OkOrErr, Result};
use pingora_proxy::Session;
use smallvec::SmallVec;

use super::answer::token_response::TokenResponse;
use super::attempts::UpstreamAttempts;
use super::body::budget::BodyShare;
use super::forwarding::RequestFacts;
use super::handling::copy::CopyState;
use super::handling::encoder::BodyEncoder;
use super::handling::holding_upstream::HoldingUpstream;
use super::incoming::certificate_of;
use super::recording::{RecordedContext, RecordedOutcome, Recording};
use crate::clock;
use crate::request::{
    Answer, ApiKind, DeadCookie, Handling, Refusal, Route, Shop, Subject, Token, Tokens,
};
use crate::revocation::Id;
use crate::server::access_log::record::RecordedVerdict;
use crate::server::connection::revocation_watch::{RevocationWatch, WatchedRequest};
use crate::server::process::traffic::InFlight;
use crate::server::snapshot::Snapshot;
use crate::server::upstream::Upstreams;

/// The context of one request.
pub(crate) struct Context {
    /// The configuration that it is served by.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its id, in our log and the shop's.
    pub(crate) id: String,
    /// The shop that it goes to.
    pub(crate) shop: Option<Arc<Shop>>,
    /// The route that it takes there.
    pub(crate) route: Option<Arc<Route>>,
    /// The customer in its tokens, if its route asks for that.
    pub(crate) subject: Option<Subject>,
    /// The API that it calls.
    pub(crate) api: ApiKind,
    /// [`crate::revocation::Revocations::changes`] before it was judged.
    pub(crate) judged_at: u64,
    /// When its header block had arrived.
    pub(crate) begun: Instant,
    /// Whether it was judged by its head before its body was read, and is counted.
    pub(crate) is_counted: bool,
    /// Whether it is a self-probe.
    pub(crate) is_own: bool,
    /// The part that was read of a body that is too long to be examined and still goes to the shop.
    pub(crate) read_ahead: Bytes,
    /// The cookies removed from it because their tokens are revoked.
    pub(crate) dead_cookies: Vec<DeadCookie>,
    /// The part of `read_ahead` that the current server has not got yet.
    pub(crate) unsent: Bytes,
    /// Why its body could not be examined, if it passes only because it is observed.
    pub(crate) unread: Option<Refusal>,
    /// The reason for which it would be refused, if it passes only because it is observed.
    pub(crate) would: Option<&'static str>,
    /// Its share of the budget for bodies.
    pub(crate) body_share: Option<BodyShare>,
    /// Its opaque tokens.
    opaque: SmallVec<[Id; 2]>,
    /// Whether a successful answer proves that the shop knows its one token.
    is_proof: bool,
    /// The tokens in its answer, if it is a call that issues tokens.
    pub(crate) token_response: Option<TokenResponse>,
    /// The upstream that holds its client, if its route splits.
    pub(crate) holding: Option<HoldingUpstream>,
    /// How much of its body the current server was sent.
    pub(crate) body_sent: u64,
    /// How often it was sent again; `None`: it was not sent yet.
    pub(crate) retried: Option<u8>,
    /// Whether a copy of it goes elsewhere.
    pub(crate) copy: CopyState,
    /// What compresses its answer.
    pub(crate) encoder: Option<BodyEncoder>,
    /// The attempts to send it to the shop.
    attempts: Option<UpstreamAttempts>,
    /// What is noted of it; `None`: it is over, or has not begun.
    pub(crate) recording: Option<Recording>,
    in_flight: Arc<InFlight>,
}

impl Context {
    /// The context of a request that has just arrived.
    pub(crate) fn new(snapshot: Arc<Snapshot>, in_flight: InFlight) -> Self {
        Self {
            snapshot,
            id: String::new(),
            shop: None,
            route: None,
            subject: None,
            api: ApiKind::default(),
            judged_at: 0,
            begun: clock::instant(),
            is_counted: false,
            is_own: false,
            read_ahead: Bytes::new(),
            unsent: Bytes::new(),
            unread: None,
            would: None,
            dead_cookies: Vec::new(),
            body_share: None,
            opaque: SmallVec::new(),
            is_proof: false,
            token_response: None,
            holding: None,
            body_sent: 0,
            retried: None,
            copy: CopyState::Unwanted,
            encoder: None,
            attempts: None,
            recording: None,
            in_flight: Arc::new(in_flight),
        }
    }

    /// It goes to this shop until one of its tokens is revoked.
    pub(crate) fn forward_to(&mut self, shop: &Arc<Shop>, tokens: Tokens) {
        self.shop = Some(Arc::clone(shop));
        self.attempts = self.attempts_to(shop);
        if tokens.is_empty() {
            return;
        }
        RevocationWatch::watch(WatchedRequest {
            revocations: Arc::clone(self.snapshot.gate.revocations()),
            tokens,
            judged_at: self.judged_at,
            request: self.id.clone(),
            shop: Arc::clone(shop),
        });
    }

    /// The attempts to send it where its route leads.
    pub(crate) fn attempts_to(&self, shop: &Arc<Shop>) -> Option<UpstreamAttempts> {
        let held_by = self.holding.as_ref().map(|holding| &holding.upstream);
        UpstreamAttempts::on_route(shop, self.route(), held_by, &self.snapshot)
    }

    /// How it is sent, and how its answer is passed on.
    pub(crate) fn handling(&self) -> Option<&Handling> {
        let shop = self.shop.as_ref()?;
        Some(shop.routes.handling(self.route()))
    }

    /// Notes which of its tokens are opaque. `is_demanded`: the shop answers with success only if it knows the customer.
    pub(crate) fn note_opaque(&mut self, tokens: &Tokens, is_demanded: bool) {
        self.opaque = tokens.iter().filter_map(Token::opaque_id).collect();
        self.is_proof = is_demanded && tokens.len() == 1;
    }

    /// The shop answered it with success: it may know its opaque tokens, or does.
    pub(crate) fn note_accepted(&self) {
        let Some(shop) = &self.shop else {
            return;
        };
        for token in &self.opaque {
            shop.likely.note(*token);
            if self.is_proof {
                let set = self.snapshot.gate.revocations();
                let until = shop.verifier.settings().undated_until(clock::now());
                set.note_accepted(token, until, shop.meaning());
            }
        }
    }

    /// Whether it takes longer than most.
    pub(crate) fn is_long(&self) -> bool {
        /// After that time its tokens are looked up again.
        const LONG: Duration = Duration::from_millis(500);
        clock::instant().duration_since(self.begun) >= LONG
    }

    /// The attempts to send it to its shop.
    pub(crate) fn attempts(&mut self) -> Result<&mut UpstreamAttempts> {
        let attempts = self.attempts.as_mut();
        attempts.or_err(ErrorType::InternalError, "a shop without upstream")
    }

    /// The facts about it that the shop is sent.
    pub(crate) fn facts<'a>(
        &'a self,
        session: &'a Session,
        upstreams: &'a Upstreams,
    ) -> RequestFacts<'a> {
        RequestFacts {
            id: &self.id,
            stale_s: self.snapshot.gate.revocations().sync_state().stale_s(),
            host: upstreams.host(),
            certificate: certificate_of(session, &self.snapshot),
            would: self.would,
            span: self.recording.as_ref().and_then(Recording::span),
        }
    }

    /// Puts a page of the operator in the place of an error's body, if there is one for it.
    pub(crate) fn put_error_page(&self, answer: &mut Answer, head: &Parts) {
        let of_shop = self.shop.as_ref().map(|shop| &shop.error_pages);
        let pages = of_shop.unwrap_or(&self.snapshot.error_pages);
        pages.put(answer, head, &self.id);
    }

    /// The route that it takes.
    pub(crate) fn route(&self) -> Option<&Route> {
        self.route.as_deref()
    }

    /// The server failed after it was connected to.
    pub(crate) fn note_failure(&self, error: &str) {
        if let Some(attempts) = &self.attempts {
            attempts.note_failure(error);
        }
    }

    /// The exchange has ended; a success unless there is an error.
    pub(crate) fn note_end(&mut self, error: Option<&Error>) {
        if let Some(attempts) = &mut self.attempts {
            attempts.note_end(error);
        }
    }

    /// The process waits until this is dropped: for work that goes on after the customer left.
    pub(crate) fn in_flight(&self) -> Arc<InFlight> {
        Arc::clone(&self.in_flight)
    }

    /// Notes what became of it, unless it is over.
    pub(crate) fn note(&mut self, note: impl FnOnce(&mut RecordedOutcome)) {
        if let Some(recording) = &mut self.recording {
            note(&mut recording.outcome);
        }
    }

    /// Why it would be refused, were it not only observed.
    pub(crate) fn would(&self) -> Option<Refusal> {
        self.recording.as_ref()?.outcome.would
    }

    /// Notes what was decided.
    pub(crate) fn note_verdict(&mut self, verdict: RecordedVerdict) {
        self.note(|outcome| outcome.verdict = verdict);
    }

    /// Takes down what was noted of it. It is over.
    pub(crate) fn finish_recording(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        if self.is_own {
            return;
        }
        recording.finish(RecordedContext {
            snapshot: &self.snapshot,
            request: std::mem::take(&mut self.id),
            took: clock::instant().duration_since(self.begun),
            shop: self.shop.as_ref().map(|shop| shop.name.as_str()),
            route: self.route.as_ref().map(|route| route.name.as_str()),
        });
    }
}

/// A request that is ended early is taken down, too.
impl Drop for Context {
    fn drop(&mut self) {
        if let Some(refusal) = RevocationWatch::cut_by() {
            self.note(|outcome| {
                outcome.verdict = RecordedVerdict::CutOff;
                outcome.refusal = Some(refusal);
            });
        }
        self.finish_recording();
    }
}
