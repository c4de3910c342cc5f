//! A logout: carried out, then answered.
//!
//! Steps that must not be left half done run in a task of their own, so that a customer who hangs up does not stop them.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use log::{info, warn};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OkOrErr, Result};
use pingora_proxy::Session;

use super::answer::failure::refusal_of;
use super::body::read_ahead::{self, Body, ReadAhead};
use super::client::UpstreamAnswer;
use super::context::Context;
use super::decision;
use super::exchange::BufferedExchange;
use super::forwarding;
use super::handling::body_limit::BODY_TOO_LARGE;
use super::handling::split;
use super::routing;
use super::service::Proxy;
use crate::clock;
use crate::request::{
    Answer, AnswerBy, Assent, LogOut, LogoutOrder, LogoutQuota, OverLimit, Refusal, Shop, has_room,
};
use crate::revocation::{Revocation, Revocations};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::operator::endings::Ending;
use crate::server::process::traffic::InFlight;
use crate::server::upstream::Upstreams;

/// How a logout went.
enum LogoutOutcome {
    /// It is in force, and this is the answer.
    Revoked(Answer),
    /// The shop declined it with this answer. Nothing was revoked.
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
        context.subject.clone_from(&logout.subject);
        let outcome = self.carry_out(session, context, &logout, body).await;
        context.note_verdict(match &outcome {
            Ok(LogoutOutcome::Revoked(_)) => RecordedVerdict::Logout,
            Ok(LogoutOutcome::Declined(_)) => RecordedVerdict::LogoutDeclined,
            Err(_) => RecordedVerdict::Refused,
        });
        let request = context.id.as_str();
        let token = logout.token().map(|id| self.log_key.name(&id).to_string());
        let token = token.as_deref();
        match outcome {
            Ok(LogoutOutcome::Revoked(mut answer)) => {
                self.metrics.note_logout(shop, "revoked");
                self.metrics.note_decision(shop, "logout", "");
                let revocations = logout.revocations.len();
                info!(request, shop, token, revocations; "logout");
                self.recorder.endings.note(
                    &logout.revocations,
                    Ending {
                        at: clock::now(),
                        rule: logout.rule.call.to_string(),
                        shop: Some(shop.to_owned()),
                        request: Some(request.to_owned()),
                    },
                );
                routing::change_answer(session, context, &mut answer);
                split::hold_by_answer(context, &mut answer);
                self.answer(session, &answer).await
            }
            Ok(LogoutOutcome::Declined(mut answer)) => {
                self.metrics.note_logout(shop, "declined");
                self.metrics.note_decision(shop, "logout_declined", "");
                let status = answer.status.as_u16();
                info!(request, shop, token, status; "the shop declined a logout");
                routing::change_answer(session, context, &mut answer);
                split::hold_by_answer(context, &mut answer);
                self.answer(session, &answer).await
            }
            Err(refusal) => {
                self.metrics.note_logout(shop, refusal.name());
                self.refuse(session, context, &logout.refuse(refusal)).await
            }
        }
    }

    /// The order matters: in force and on disk, then the shop is asked, then the customer is answered; or, if the shop must
    /// agree, the shop is asked first.
    async fn carry_out(
        &self,
        session: &mut Session,
        context: &Context,
        logout: &Arc<LogOut>,
        body: Option<Bytes>,
    ) -> Result<LogoutOutcome, Refusal> {
        let Some(connector) = self.connector.clone() else {
            return Err(Refusal::UpstreamFailed); // a rehearsal sends nothing, and ends before
        };
        let client = context.snapshot.forwarding.client_of(session);
        let set = Arc::clone(context.snapshot.gate.revocations());
        let provisional = logout.provisional();
        let (order, quota_use) = match logout.order() {
            LogoutOrder::ShopFirst => (LogoutOrder::ShopFirst, QuotaUse::Unused), // only entries that the shop confirms are stored
            order @ (LogoutOrder::AtOnce | LogoutOrder::TokensFirst) => {
                match self.logout_quota.admit_unverified(
                    client,
                    &provisional,
                    &set,
                    logout.shop.allowance,
                    clock::now(),
                ) {
                    Ok(()) => (order, QuotaUse::Used),
                    // The shop may still confirm it.
                    Err(over) if logout.is_sent_with_credentials() => {
                        (LogoutOrder::ShopFirst, QuotaUse::Spent(over))
                    }
                    Err(over) => return Err(self.refuse_over(over)),
                }
            }
        };
        let first = match order {
            LogoutOrder::AtOnce => provisional,
            LogoutOrder::TokensFirst => tokens_of(provisional),
            LogoutOrder::ShopFirst => Vec::new(),
        };
        let in_flight = context.in_flight();
        detached(
            in_flight,
            put_in_force(Arc::clone(&set), Arc::clone(&logout.shop), first),
        )
        .await?;
        let exchange = self.exchange(session, context, logout, body).await;
        let leaving = PendingLogout {
            ours: logout.answer(session.req_header()),
            logout: Arc::clone(logout),
            order,
            quota: Arc::clone(&self.logout_quota),
            quota_use,
            client,
            connector,
            set,
            request: context.id.clone(),
        };
        let finished = detached(context.in_flight(), leaving.finish(exchange)).await;
        match (finished, quota_use) {
            (Err(Refusal::TooManyLogouts), QuotaUse::Spent(over)) => Err(self.refuse_over(over)),
            (Err(Refusal::TooManyLogouts), QuotaUse::Used | QuotaUse::Unused) => {
                Err(self.refuse_over(OverLimit::Shop))
            }
            (finished, _) => finished,
        }
    }

    /// A limit of entries of unverified credentials refuses a logout.
    fn refuse_over(&self, over: OverLimit) -> Refusal {
        self.metrics.note_limit(over.key());
        Refusal::TooManyLogouts
    }

    /// The request to the shop. `None`: the shop is not asked.
    async fn exchange(
        &self,
        session: &mut Session,
        context: &Context,
        logout: &LogOut,
        body: Option<Bytes>,
    ) -> Result<Option<BufferedExchange>> {
        let AnswerBy::Shop { .. } = logout.answer_by() else {
            return Ok(None);
        };
        let attempts = context.attempts_to(&logout.shop);
        let attempts = attempts.or_err(ErrorType::InternalError, "a shop without upstream")?;
        let body = match body {
            Some(body) => body,
            None if !context.read_ahead.is_empty() => return Err(Error::new(ErrorType::ReadError)),
            None => {
                let how = ReadAhead {
                    silence_max: context.snapshot.limits.body_timeout,
                    share: &self.body_share(session, &context.snapshot),
                    passes_unread: false,
                };
                match read_ahead::read_body(session, how).await? {
                    Body::Whole(body) => body,
                    Body::Unreadable(..) => return Err(Error::new(ErrorType::ReadError)),
                }
            }
        };
        let handling = logout.shop.routes.handling(context.route());
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if handling.body_limit.is_some_and(|limit| length > limit) {
            return Err(Error::new(BODY_TOO_LARGE));
        }
        let forwarding = &context.snapshot.forwarding;
        let head = head_as_sent(session, context, logout, attempts.upstreams())?;
        Ok(Some(BufferedExchange {
            head,
            body,
            from: (session.req_header().clone(), forwarding.ends_of(session)),
            attempts,
            timeouts: handling.timeouts,
        }))
    }
}

/// The head of a logout as its shop is sent it.
pub(crate) fn head_as_sent(
    session: &Session,
    context: &Context,
    logout: &LogOut,
    upstreams: &Upstreams,
) -> Result<RequestHeader> {
    let mut head = session.req_header().clone();
    let sent_to = (logout.dead_cookies.as_slice(), upstreams);
    decision::write_as_sent(session, context, sent_to, &mut head)?;
    if !logout.is_sent_with_credentials() {
        forwarding::remove_credentials(&logout.shop, &mut head);
    }
    if logout.rule.reads_answer() {
        head.remove_header(&ACCEPT_ENCODING); // or it can't be read
    }
    Ok(head)
}

/// A logout whose request has been read to its end.
struct PendingLogout {
    logout: Arc<LogOut>,
    order: LogoutOrder,
    quota: Arc<LogoutQuota>,
    quota_use: QuotaUse,
    client: IpAddr,
    /// Our answer, if the shop gives none.
    ours: Answer,
    connector: Arc<Connector>,
    set: Arc<Revocations>,
    /// Its name in the log.
    request: String,
}

/// What a logout has taken of its client's quota.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QuotaUse {
    /// Its entries count.
    Used,
    /// Nothing: the shop is asked before anything is stored.
    Unused,
    /// The quota is used up: only the shop can confirm it.
    Spent(OverLimit),
}

impl PendingLogout {
    /// Sends the logout to the shop, and notes which cookies the answer sets.
    async fn send_to_shop(
        &self,
        exchange: Result<Option<BufferedExchange>>,
    ) -> Result<Option<UpstreamAnswer>> {
        let Some(exchange) = exchange? else {
            return Ok(None);
        };
        let path = exchange.head.uri.path().to_owned();
        let answer = exchange.send(&self.connector).await?;
        let shop = &self.logout.shop;
        shop.note_set_cookies(&answer.head.headers, &path);
        Ok(Some(answer))
    }

    /// The answer to a logout that is in force: the shop's, or ours if it has none or does not agree.
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

    async fn finish(
        self,
        exchange: Result<Option<BufferedExchange>>,
    ) -> Result<LogoutOutcome, Refusal> {
        let answer = self.send_to_shop(exchange).await;
        let status = answer.as_ref().ok().and_then(Option::as_ref);
        let status = status.map(|heard| heard.head.status);
        let answer = answer.and_then(|answer| answer.map(UpstreamAnswer::whole).transpose());
        // If the answer broke off, as far as its head tells.
        let agreed = status.map_or(Some(false), |status| self.logout.is_agreed_by(status));
        let is_yes = self.order == LogoutOrder::ShopFirst && agreed == Some(true);
        let assent = match &answer {
            _ if !self.logout.is_sent_with_credentials() => Assent::NotAsked,
            Ok(Some(answer)) if is_answer(answer.status) => self.logout.assent(answer),
            Ok(None) => Assent::NotAsked,
            Err(_) if is_yes => Assent::Given,
            Ok(Some(_)) | Err(_) => Assent::Unclear,
        };
        let is_spent = matches!(self.quota_use, QuotaUse::Spent(_));
        if is_spent && !assent.is_yes() {
            return Err(Refusal::TooManyLogouts);
        }
        let logout = &self.logout;
        let rest = match self.order {
            LogoutOrder::AtOnce => self.kept_after(assent)?,
            LogoutOrder::TokensFirst => [self.kept_after(assent)?, logout.cutoffs()].concat(),
            LogoutOrder::ShopFirst => {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(error) => return self.go_by_head(agreed, assent, &error).await,
                };
                if let Some(answer) = &answer
                    && !(is_spent || logout.is_agreed(answer))
                {
                    return Ok(LogoutOutcome::Declined(answer.clone()));
                }
                let kept = self.kept_after(assent)?;
                let all = [logout.verified_tokens(), kept, logout.cutoffs()].concat();
                put_in_force(self.set, Arc::clone(&logout.shop), all).await?;
                let answer = answer.unwrap_or(self.ours);
                return Ok(LogoutOutcome::Revoked(logout.deleting_cookies(answer)));
            }
        };
        put_in_force(Arc::clone(&self.set), Arc::clone(&logout.shop), rest).await?;
        Ok(LogoutOutcome::Revoked(self.answer_beside(answer)))
    }

    /// The shop was asked first, and its answer broke off. Its yes counts from the head on where the body does not matter; where it
    /// does, the presented tokens end, unless a page of another site may have sent them.
    async fn go_by_head(
        self,
        agreed: Option<bool>,
        assent: Assent,
        error: &Error,
    ) -> Result<LogoutOutcome, Refusal> {
        let logout = &self.logout;
        let (request, shop) = (self.request.as_str(), logout.shop.name.as_str());
        warn!(request, shop, agreed; "the shop's answer to its logout broke off: {}", error.etype().as_str());
        let refused = refusal_of(error).unwrap_or(Refusal::UpstreamFailed);
        match agreed {
            Some(true) => {
                let kept = self.kept_after(assent)?;
                let all = [logout.verified_tokens(), kept, logout.cutoffs()].concat();
                put_in_force(self.set, Arc::clone(&logout.shop), all).await?;
                Ok(LogoutOutcome::Revoked(self.ours))
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

impl PendingLogout {
    /// The entries of unverified credentials to keep, now that the shop has answered. Entries that it confirms are kept in
    /// full while there is room, and those that it proves always are; confirmed entries do not count in the client's
    /// quota.
    fn kept_after(&self, assent: Assent) -> Result<Vec<Revocation>, Refusal> {
        let (logout, set, now) = (&self.logout, &self.set, clock::now());
        let (allowance, is_stored) = (logout.shop.allowance, self.quota_use == QuotaUse::Used);
        let mut provisional = logout.provisional();
        provisional.retain(|one| one.unverified_token().is_some());
        if provisional.is_empty() {
            return Ok(Vec::new());
        }
        let borne_out = logout.confirmed_by(assent);
        let is_kept = if assent.is_yes() {
            self.quota
                .admit_borne_out(self.client, &borne_out, set, allowance, now)
        } else {
            has_room(&borne_out, set, allowance, now)
        };
        if !borne_out.is_empty() && is_kept {
            if is_stored && assent.is_yes() {
                self.quota.give_back(self.client, &provisional, now);
            }
            return Ok(borne_out);
        }
        // Success would promise too much: the shop may know the token and has not ended it.
        if assent == Assent::Unclear || !(borne_out.is_empty() || assent.is_yes()) {
            return Err(Refusal::TooManyLogouts);
        }
        if is_stored {
            return Ok(Vec::new());
        }
        let admitted = self
            .quota
            .admit_unverified(self.client, &provisional, set, allowance, now);
        admitted.map_err(|_| Refusal::TooManyLogouts)?;
        Ok(provisional)
    }
}

/// The entries of tokens and sessions.
fn tokens_of(mut revocations: Vec<Revocation>) -> Vec<Revocation> {
    revocations.retain(Revocation::is_token);
    revocations
}

/// Whether the shop answered the logout: it did not fail, and knows the path.
fn is_answer(status: StatusCode) -> bool {
    let is_unknown = status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED;
    !(status.is_server_error() || is_unknown)
}

/// Runs to its end also if the customer hangs up; the process waits for it.
async fn detached<T: Send + 'static>(
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

/// Writes first the meanings of the names in them that the journal does not have yet.
pub(crate) async fn put_in_force(
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
