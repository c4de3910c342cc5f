//! A logout: carried out, then answered.
//!
//! What must not be left half done goes on by itself, so that a customer who hangs up can't prevent it.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use log::{info, warn};
use pingora::connectors::http::Connector;
use pingora::{Error, ErrorType, OkOrErr, Result};
use pingora_proxy::Session;

use super::answer::dead_cookies;
use super::answer::failure::refusal_of;
use super::attempts::Trip;
use super::body::read_ahead::{self, Body, ReadAhead};
use super::checks::target;
use super::client::Answered;
use super::context::Context;
use super::exchange::Question;
use super::forwarding;
use super::service::Proxy;
use crate::clock;
use crate::request::{Answer, AnswerBy, Assent, LogOut, Order, Refusal, Shop};
use crate::revocation::{OverLimit, Revocation, Revocations};
use crate::server::process::traffic::InFlight;

/// How a logout went.
enum Outcome {
    /// It is in force, and this is the answer.
    Revoked(Answer),
    /// The shop said no, in these words. Nothing was revoked.
    Declined(Answer),
}

impl Proxy {
    /// A logout: carried out, then answered.
    pub(crate) async fn log_out(
        &self,
        session: &mut Session,
        context: &mut Context,
        logout: Box<LogOut>,
        body: Option<Bytes>,
    ) -> Result<bool> {
        let logout: Arc<LogOut> = Arc::from(logout);
        let shop = logout.shop.name.as_str();
        context.shop = Some(Arc::clone(&logout.shop));
        let outcome = self.carry_out(session, context, &logout, body).await;
        let request = context.id.as_str();
        let token = logout.token().map(|id| self.log_key.name(&id).to_string());
        let token = token.as_deref();
        match outcome {
            Ok(Outcome::Revoked(answer)) => {
                self.metrics.note_logout(shop, "revoked");
                self.metrics.note_decision(shop, "logout", "");
                let revocations = logout.revocations.len();
                info!(request, shop, token, revocations; "logout");
                self.answer(session, &answer).await
            }
            Ok(Outcome::Declined(answer)) => {
                self.metrics.note_logout(shop, "declined");
                self.metrics.note_decision(shop, "logout_declined", "");
                let status = answer.status.as_u16();
                info!(request, shop, token, status; "the shop declined a logout");
                self.answer(session, &answer).await
            }
            Err(refusal) => {
                self.metrics.note_logout(shop, refusal.name());
                self.refuse(session, context, &logout.refuse(refusal)).await
            }
        }
    }

    /// The order is the promise: in force and on disk, then the shop is told, then the customer; or, where the
    /// shop's word is wanted, the shop is asked first.
    async fn carry_out(
        &self,
        session: &mut Session,
        context: &Context,
        logout: &Arc<LogOut>,
        body: Option<Bytes>,
    ) -> Result<Outcome, Refusal> {
        let client = context.site.forwarding.client_of(session);
        let set = Arc::clone(context.site.gate.revocations());
        let provisional = logout.provisional();
        let (order, ration) = match logout.order() {
            Order::ShopFirst => (Order::ShopFirst, Ration::Unused), // only what the shop agrees to is stored
            order @ (Order::AtOnce | Order::TokensFirst) => {
                match set.admit(client, &provisional, logout.shop.allowance, clock::now()) {
                    Ok(()) => (order, Ration::Used),
                    // A yes of the shop may confirm it.
                    Err(over) if logout.is_heard() => (Order::ShopFirst, Ration::Spent(over)),
                    Err(over) => return Err(self.refuse_over(over)),
                }
            }
        };
        let first = match order {
            Order::AtOnce => provisional,
            Order::TokensFirst => tokens_of(provisional),
            Order::ShopFirst => Vec::new(),
        };
        let in_flight = context.in_flight();
        by_itself(
            in_flight,
            put_in_force(Arc::clone(&set), Arc::clone(&logout.shop), first),
        )
        .await?;
        let question = self.question(session, context, logout, body).await;
        let leaving = Leaving {
            ours: logout.answer(session.req_header()),
            logout: Arc::clone(logout),
            order,
            ration,
            client,
            connector: Arc::clone(&self.connector),
            set,
            request: context.id.clone(),
        };
        let finished = by_itself(context.in_flight(), leaving.finish(question)).await;
        match (finished, ration) {
            (Err(Refusal::TooManyLogouts), Ration::Spent(over)) => Err(self.refuse_over(over)),
            (Err(Refusal::TooManyLogouts), Ration::Used | Ration::Unused) => {
                Err(self.refuse_over(OverLimit::Shop))
            }
            (finished, _) => finished,
        }
    }

    /// A limit of what unverified credentials may store turns a logout away.
    fn refuse_over(&self, over: OverLimit) -> Refusal {
        self.metrics.note_limit(over.key());
        Refusal::TooManyLogouts
    }

    /// What the shop is asked. `None`: it never hears of it.
    async fn question(
        &self,
        session: &mut Session,
        context: &Context,
        logout: &LogOut,
        body: Option<Bytes>,
    ) -> Result<Option<Question>> {
        let AnswerBy::Shop { with_credentials } = logout.answer_by() else {
            return Ok(None);
        };
        let trip = Trip::to(&logout.shop, &context.site);
        let trip = trip.or_err(ErrorType::InternalError, "a shop without upstream")?;
        let body = match body {
            Some(body) => body,
            None if !context.read_ahead.is_empty() => return Err(Error::new(ErrorType::ReadError)),
            None => {
                let how = ReadAhead {
                    silence_max: context.site.limits.body_timeout,
                    share: &self.body_share(session, &context.site),
                    passes_unread: false,
                };
                match read_ahead::read(session, how).await? {
                    Body::Whole(body) => body,
                    Body::Unreadable(..) => return Err(Error::new(ErrorType::ReadError)),
                }
            }
        };
        let forwarding = &context.site.forwarding;
        let mut head = session.req_header().clone();
        dead_cookies::take_out(&logout.dead_cookies, &mut head)?;
        forwarding.rewrite(session, context.told(trip.upstreams()), &mut head)?;
        target::make_origin_form(&mut head);
        if !with_credentials {
            forwarding::remove_credentials(&logout.shop, &mut head);
        }
        if logout.rule.reads_answer() {
            head.remove_header(&ACCEPT_ENCODING); // or it can't be read
        }
        Ok(Some(Question {
            head,
            body,
            from: (session.req_header().clone(), forwarding.client_of(session)),
            trip,
        }))
    }
}

/// A logout whose request has been read to its end.
struct Leaving {
    logout: Arc<LogOut>,
    order: Order,
    ration: Ration,
    client: IpAddr,
    /// What we say where the shop says nothing.
    ours: Answer,
    connector: Arc<Connector>,
    set: Arc<Revocations>,
    /// Its name in the log.
    request: String,
}

/// What a logout took of the share of its client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ration {
    /// Its entries count.
    Used,
    /// Nothing: the shop is asked before anything is stored.
    Unused,
    /// Nothing is left: it needs the shop's yes.
    Spent(OverLimit),
}

impl Leaving {
    /// Puts the question to the shop, and learns which cookies it sets.
    async fn put(&self, question: Result<Option<Question>>) -> Result<Option<Answered>> {
        let Some(question) = question? else {
            return Ok(None);
        };
        let path = question.head.uri.path().to_owned();
        let heard = question.put(&self.connector).await?;
        let shop = &self.logout.shop;
        shop.note_set_cookies(&heard.head.headers, &path);
        Ok(Some(heard))
    }

    /// The shop's answer to a logout that is in force, or ours, if it has none or does not agree.
    fn answer_beside(self, answer: Result<Option<Answer>>) -> Answer {
        let logout = &self.logout;
        let (request, shop) = (self.request.as_str(), logout.shop.name.as_str());
        match answer {
            Ok(None) => self.ours,
            Ok(Some(answer))
                if is_answer(answer.status)
                    && (logout.revocations.is_empty() || logout.is_agreed(&answer)) =>
            {
                logout.deleting_cookies(answer)
            }
            Ok(Some(answer)) => {
                let status = answer.status.as_u16();
                if is_answer(answer.status) {
                    info!(request, shop, status; "the shop has not agreed to the logout");
                } else {
                    warn!(request, shop, status; "the shop did not answer its logout");
                }
                self.ours
            }
            Err(error) => {
                warn!(request, shop; "the shop did not answer its logout: {}", error.etype().as_str());
                self.ours
            }
        }
    }

    async fn finish(self, question: Result<Option<Question>>) -> Result<Outcome, Refusal> {
        let heard = self.put(question).await;
        let status = heard.as_ref().ok().and_then(Option::as_ref);
        let status = status.map(|heard| heard.head.status);
        let answer = heard.and_then(|heard| heard.map(Answered::whole).transpose());
        // Of an answer that broke off, as far as its head says it.
        let agreed = status.map_or(Some(false), |status| self.logout.is_agreed_by(status));
        let is_yes = self.order == Order::ShopFirst && agreed == Some(true);
        let assent = match &answer {
            _ if !self.logout.is_heard() => Assent::NotAsked,
            Ok(Some(answer)) if is_answer(answer.status) => self.logout.assent(answer),
            Ok(None) => Assent::NotAsked,
            Err(_) if is_yes => Assent::Given,
            Ok(Some(_)) | Err(_) => Assent::Unclear,
        };
        let is_spent = matches!(self.ration, Ration::Spent(_));
        if is_spent && !assent.is_yes() {
            return Err(Refusal::TooManyLogouts);
        }
        let logout = &self.logout;
        let rest = match self.order {
            Order::AtOnce => self.kept_after(assent)?,
            Order::TokensFirst => [self.kept_after(assent)?, logout.cutoffs()].concat(),
            Order::ShopFirst => {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(error) => return self.go_by_head(agreed, assent, &error).await,
                };
                if let Some(answer) = &answer
                    && !(is_spent || logout.is_agreed(answer))
                {
                    return Ok(Outcome::Declined(answer.clone()));
                }
                let kept = self.kept_after(assent)?;
                let all = [logout.verified_tokens(), kept, logout.cutoffs()].concat();
                put_in_force(self.set, Arc::clone(&logout.shop), all).await?;
                let answer = answer.unwrap_or(self.ours);
                return Ok(Outcome::Revoked(logout.deleting_cookies(answer)));
            }
        };
        put_in_force(Arc::clone(&self.set), Arc::clone(&logout.shop), rest).await?;
        Ok(Outcome::Revoked(self.answer_beside(answer)))
    }

    /// The shop was asked first, and its answer broke off. Its yes counts from the head on where the body does not matter; where it
    /// does, the presented tokens end, unless a page of another site may have sent them.
    async fn go_by_head(
        self,
        agreed: Option<bool>,
        assent: Assent,
        error: &Error,
    ) -> Result<Outcome, Refusal> {
        let logout = &self.logout;
        let (request, shop) = (self.request.as_str(), logout.shop.name.as_str());
        warn!(request, shop, agreed; "the shop's answer to its logout broke off: {}", error.etype().as_str());
        let refused = refusal_of(error).unwrap_or(Refusal::UpstreamFailed);
        match agreed {
            Some(true) => {
                let kept = self.kept_after(assent)?;
                let all = [logout.verified_tokens(), kept, logout.cutoffs()].concat();
                put_in_force(self.set, Arc::clone(&logout.shop), all).await?;
                Ok(Outcome::Revoked(self.ours))
            }
            Some(false) => Err(refused),
            None if logout.may_be_foreign() => Err(refused),
            None => {
                let kept = self.kept_after(assent)?;
                let all = [logout.verified_tokens(), kept].concat();
                put_in_force(self.set, Arc::clone(&logout.shop), all).await?;
                Err(refused)
            }
        }
    }
}

impl Leaving {
    /// What is stored of credentials that nobody could verify, now that the shop has spoken. What it bears out is kept in
    /// full, as far as there is room, and what it proves always is; what it agrees to does not count in the client's
    /// share.
    fn kept_after(&self, assent: Assent) -> Result<Vec<Revocation>, Refusal> {
        let (logout, set, now) = (&self.logout, &self.set, clock::now());
        let (allowance, is_stored) = (logout.shop.allowance, self.ration == Ration::Used);
        let mut provisional = logout.provisional();
        provisional.retain(|one| one.unverified_token().is_some());
        if provisional.is_empty() {
            return Ok(Vec::new());
        }
        let borne_out = logout.borne_out(assent);
        let is_kept = if assent.is_yes() {
            set.admit_borne_out(self.client, &borne_out, allowance, now)
        } else {
            set.has_room(&borne_out, allowance, now)
        };
        if !borne_out.is_empty() && is_kept {
            if is_stored && assent.is_yes() {
                set.give_back(self.client, &provisional, now);
            }
            return Ok(borne_out);
        }
        // Success would be a promise that nobody keeps: the shop may know the token and has not ended it.
        if assent == Assent::Unclear || !(borne_out.is_empty() || assent.is_yes()) {
            return Err(Refusal::TooManyLogouts);
        }
        if is_stored {
            return Ok(Vec::new());
        }
        let admitted = set.admit(self.client, &provisional, allowance, now);
        admitted.map_err(|_| Refusal::TooManyLogouts)?;
        Ok(provisional)
    }
}

/// Those of them that are tokens or sessions.
fn tokens_of(mut revocations: Vec<Revocation>) -> Vec<Revocation> {
    revocations.retain(Revocation::is_token);
    revocations
}

/// Unless the shop fails, or does not know the path of its own logout.
fn is_answer(status: StatusCode) -> bool {
    let is_unknown = status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED;
    !(status.is_server_error() || is_unknown)
}

/// Goes on although the customer hangs up, and the process waits for it.
async fn by_itself<T: Send + 'static>(
    in_flight: Arc<InFlight>,
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let task = tokio::spawn(async move {
        let done = work.await;
        drop(in_flight);
        done
    });
    task.await.unwrap_or(Err(Refusal::NotDurable))
}

/// First what the names in them mean, if the journal does not say that yet.
async fn put_in_force(
    set: Arc<Revocations>,
    shop: Arc<Shop>,
    revocations: Vec<Revocation>,
) -> Result<(), Refusal> {
    if revocations.is_empty() {
        return Ok(());
    }
    let meant = set.meaning_before(shop.meaning(), &revocations, clock::now());
    let written = set.revoke_now(meant, revocations).await;
    written.map_err(|_| Refusal::NotDurable)
}
