//! A logout: carried out, then answered.
//!
//! What must not be left half done goes on by itself, so that a customer who hangs up can't prevent it.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use log::{info, warn};
use pingora::connectors::http::Connector;
use pingora::{Error, ErrorType, OkOrErr, Result};
use pingora_proxy::Session;

use super::body::{self, Body, ReadAhead};
use super::context::Context;
use super::dead_cookies;
use super::forwarding;
use super::proxy::{Proxy, refusal_of};
use super::question::Question;
use super::target;
use super::traffic::InFlight;
use super::trip::Trip;
use crate::clock;
use crate::request::{Answer, AnswerBy, LogOut, Order, Refusal};
use crate::revocation::{Revocation, Revocations};

/// How a logout went.
enum Outcome {
    /// It is in force, and this is the answer.
    Revoked(Answer),
    /// The shop said no, in these words. Nothing was revoked.
    Declined(Answer),
}

impl Proxy {
    /// A logout: carried out, then answered.
    pub(super) async fn log_out(
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
        let (entries, allowance) = (&logout.revocations, logout.shop.allowance);
        let set = Arc::clone(context.site.gate.revocations());
        if !set.admit(client, entries, allowance, clock::now()) {
            return Err(Refusal::TooManyLogouts);
        }
        let order = logout.order();
        let first = match order {
            Order::AtOnce => logout.revocations.clone(),
            Order::TokensFirst => logout.tokens(),
            Order::ShopFirst => Vec::new(),
        };
        let in_flight = context.in_flight();
        by_itself(in_flight, put_in_force(Arc::clone(&set), first)).await?;
        let question = self.question(session, context, logout, body).await;
        let leaving = Leaving {
            ours: logout.answer(session.req_header()),
            logout: Arc::clone(logout),
            order,
            question,
            connector: Arc::clone(&self.connector),
            set,
            request: context.id.clone(),
        };
        by_itself(context.in_flight(), leaving.finish()).await
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
                match body::read(session, how).await? {
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
    question: Result<Option<Question>>,
    /// What we say where the shop says nothing.
    ours: Answer,
    connector: Arc<Connector>,
    set: Arc<Revocations>,
    /// Its name in the log.
    request: String,
}

impl Leaving {
    async fn finish(self) -> Result<Outcome, Refusal> {
        let answer = match self.question {
            Ok(Some(question)) => {
                let path = question.head.uri.path().to_owned();
                let answer = question.put(&self.connector).await;
                answer.map(|answer| {
                    self.logout.shop.note_set_cookies(&answer.headers, &path);
                    Some(answer)
                })
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let (logout, set) = (&self.logout, self.set);
        let rest = match self.order {
            Order::AtOnce => Vec::new(),
            Order::TokensFirst => logout.cutoffs(),
            Order::ShopFirst => {
                let answer = answer
                    .map_err(|error| refusal_of(&error).unwrap_or(Refusal::UpstreamFailed))?;
                let answer = answer.unwrap_or(self.ours);
                if !logout.is_agreed(&answer) {
                    return Ok(Outcome::Declined(answer));
                }
                let all = [logout.tokens(), logout.cutoffs()].concat();
                put_in_force(set, all).await?;
                return Ok(Outcome::Revoked(logout.deleting_cookies(answer)));
            }
        };
        put_in_force(set, rest).await?;
        let (request, shop) = (self.request.as_str(), logout.shop.name.as_str());
        let answer = match answer {
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
        };
        Ok(Outcome::Revoked(answer))
    }
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

async fn put_in_force(set: Arc<Revocations>, revocations: Vec<Revocation>) -> Result<(), Refusal> {
    if revocations.is_empty() {
        return Ok(());
    }
    let written = set.revoke(revocations).await;
    written.map_err(|_| Refusal::NotDurable)
}
