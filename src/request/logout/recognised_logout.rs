//! A recognised logout: what it revokes, in which order, and how it is answered.

use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderValue;
use http::request::Parts;

use super::agreement::Agreement;
use super::rule::{AnswerBy, Assent, LogoutRule, When};
use crate::clock::UnixTime;
use crate::request::answers::{Answer, ApiKind, Refusal, Refused, answer};
use crate::request::cookie::{DeadCookie, deletions_beside};
use crate::request::graphql;
use crate::request::shop::Shop;
use crate::request::token::Subject;
use crate::revocation::{Id, Revocation, Source, UNCONFIRMED_LIFE};

/// A recognised logout.
pub struct LogOut {
    /// The shop.
    pub shop: Arc<Shop>,
    /// The rule that recognised it.
    pub rule: Arc<LogoutRule>,
    /// What it revokes, for as long as a token can be accepted; empty, if it came without a credential and the rule accepts
    /// that.
    pub revocations: Vec<Revocation>,
    /// Its unverified tokens that the shop may know.
    pub(in crate::request) likely: Vec<Id>,
    /// Whether the shop's yes must be about the one presented token.
    pub(in crate::request) is_single: bool,
    /// When it takes effect.
    pub(in crate::request) when: When,
    /// Whether a page of another site may have sent it.
    pub(in crate::request) may_be_foreign: bool,
    /// The presented tokens, if the rule revokes only the others.
    pub(in crate::request) spared: Vec<Id>,
    /// When the presented tokens of a customer were issued.
    pub(in crate::request) issued: Vec<(Id, UnixTime)>,
    /// When it was judged.
    pub(in crate::request) at: UnixTime,
    /// The cookies to remove from it, because their tokens are revoked already.
    pub dead_cookies: Vec<DeadCookie>,
    /// The lines that delete the customer's cookies.
    pub(in crate::request) deletions: Vec<HeaderValue>,
    /// The API that it was sent to.
    pub(in crate::request) api: ApiKind,
    /// Whether its token had expired already.
    pub(in crate::request) expired: bool,
    /// What the request executes beside it, if it is GraphQL.
    pub(in crate::request) graphql: Option<graphql::GraphQlOutcome>,
    /// The customer in its tokens, if its route asks for that.
    pub subject: Option<Subject>,
}

/// In which order a logout is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutOrder {
    /// Everything is revoked, then the logout is forwarded.
    AtOnce,
    /// The presented token is revoked, then the logout is forwarded, then the cutoffs are set by the `Date` of the answer: the
    /// shop's clock is not known yet.
    TokensFirst,
    /// The logout is forwarded; if the shop agrees, everything is revoked.
    ShopFirst,
}

impl LogOut {
    /// The answer, if the shop gives none.
    pub fn answer(&self, head: &Parts) -> Answer {
        if self.expired && self.rule.invalid.is_some() {
            let words = self.rule.invalid.as_ref();
            let refusals = self.shop.refusals_for(self.api);
            let answer = refusals.answer(Refusal::Expired, words, head);
            return self.deleting_cookies(answer);
        }
        let shape = self.shop.refusals.shape;
        let shaped = self.graphql.as_ref();
        let shaped = shaped.map(|outcome| outcome.words(&self.rule.success));
        let words = shaped.as_ref().unwrap_or(&self.rule.success);
        answer::logged_out(words, shape, &self.deletions, head)
    }

    /// What answers it: the shop, if a GraphQL request executes something else, too.
    pub fn answer_by(&self) -> AnswerBy {
        match (self.rule.answer, &self.graphql) {
            (AnswerBy::Doorward, Some(outcome)) if !outcome.is_pure() => AnswerBy::Shop {
                with_credentials: true,
            },
            (answer, _) => answer,
        }
    }

    /// Whether the shop's answer says that it has logged the customer out.
    pub fn is_agreed(&self, answer: &Answer) -> bool {
        match &self.rule.agreed {
            Some(agreed) => self.fits(agreed, answer),
            None if self.when == When::ShopAgreed => self.fits(&Agreement::for_form(), answer),
            None => true,
        }
    }

    /// What the shop's answer says of a credential that could not be verified.
    pub fn assent(&self, answer: &Answer) -> Assent {
        let proves = |confirms| self.fits(confirms, answer);
        let proof = self.rule.confirms.as_ref().map(proves);
        let form = Agreement::for_form();
        let is_yes = self.fits(self.rule.agreed.as_ref().unwrap_or(&form), answer);
        let is_rest = self.graphql.is_none(); // in GraphQL the client chooses what it is told
        match proof {
            Some(true) => Assent::Proved,
            Some(false) if is_rest && answer.is_plain_json() => Assent::Denied,
            Some(_) | None if is_yes => Assent::Given,
            Some(_) | None if answer.status == StatusCode::UNAUTHORIZED => Assent::Denied,
            Some(_) | None => Assent::Unclear,
        }
    }

    /// Whether the shop is sent it.
    pub fn is_forwarded(&self) -> bool {
        match self.answer_by() {
            AnswerBy::Shop { .. } => true,
            AnswerBy::Doorward => false,
        }
    }

    /// Whether the logout is forwarded with its credentials.
    pub fn is_sent_with_credentials(&self) -> bool {
        match self.answer_by() {
            AnswerBy::Shop { with_credentials } => with_credentials,
            AnswerBy::Doorward => false,
        }
    }

    /// Whether an answer fulfils an agreement; in GraphQL under the aliases of the client.
    fn fits(&self, wanted: &Agreement, answer: &Answer) -> bool {
        let Some(outcome) = self.graphql.as_ref().filter(|_| wanted.reads_body()) else {
            return wanted.holds(answer.status, &answer.body);
        };
        let mut bodies = outcome.plain(&answer.body).into_iter();
        bodies.any(|body| wanted.holds(answer.status, body.as_ref()))
    }

    /// Whether the shop has logged the customer out, by the status of its answer; `None`: the body decides.
    pub fn is_agreed_by(&self, status: StatusCode) -> Option<bool> {
        let for_form = Agreement::for_form();
        let agreed = self.rule.agreed.as_ref();
        let agreed = match (agreed, self.when) {
            (Some(agreed), _) => agreed,
            (None, When::ShopAgreed) => &for_form,
            (None, When::AtOnce) => return Some(true),
        };
        match agreed.has_status(status) {
            true if agreed.reads_body() => None,
            has_status => Some(has_status),
        }
    }

    /// In which order it is carried out. While the shop's clock is not known, the cutoffs wait for its answer: a cutoff that is
    /// too late would refuse the customer's next login.
    pub fn order(&self) -> LogoutOrder {
        match (self.answer_by(), self.when) {
            (AnswerBy::Doorward, _) => LogoutOrder::AtOnce,
            (AnswerBy::Shop { .. }, When::ShopAgreed) => LogoutOrder::ShopFirst,
            (AnswerBy::Shop { .. }, When::AtOnce) if self.shop.clock.is_known(self.at) => {
                LogoutOrder::AtOnce
            }
            (AnswerBy::Shop { .. }, When::AtOnce) => LogoutOrder::TokensFirst,
        }
    }

    /// An answer of the shop, with lines that delete the customer's cookies if something was revoked.
    pub fn deleting_cookies(&self, mut answer: Answer) -> Answer {
        if !(self.revocations.is_empty() && self.dead_cookies.is_empty()) {
            let lines = deletions_beside(&answer.headers, &self.deletions, self.at);
            answer.add_cookies(lines);
        }
        answer
    }

    /// The entries to put in force before the shop answers. An unverified token is kept for an hour, unless the shop does not
    /// receive it and may know it.
    pub fn provisional(&self) -> Vec<Revocation> {
        let hour = self.at.plus(UNCONFIRMED_LIFE);
        let is_sent = self.is_sent_with_credentials();
        let shortened = |one: &Revocation| match one.unverified_token() {
            Some((id, source)) if is_sent || !self.likely.contains(&id) => {
                one.vouched(source, one.until().min(hour))
            }
            Some(_) | None => *one,
        };
        self.revocations.iter().map(shortened).collect()
    }

    /// The entries for unverified tokens that the shop's answer confirms: kept for as long as a token can be accepted.
    pub fn confirmed_by(&self, assent: Assent) -> Vec<Revocation> {
        let is_proved = assent == Assent::Proved && self.is_single;
        let is_confirmed = |id: &Id| match assent {
            Assent::Proved | Assent::Given | Assent::Unclear => true,
            Assent::Denied => self.likely.contains(id),
            Assent::NotAsked => false,
        };
        let raised = |one: &Revocation| {
            let (_, source) = one.unverified_token().filter(|(id, _)| is_confirmed(id))?;
            let source = if is_proved { Source::Verified } else { source };
            Some(one.vouched(source, one.until()))
        };
        self.revocations.iter().filter_map(raised).collect()
    }

    /// The tokens and the session that it revokes without an answer of the shop.
    pub fn verified_tokens(&self) -> Vec<Revocation> {
        let is_verified = |one: &&Revocation| one.is_token() && one.unverified_token().is_none();
        self.revocations
            .iter()
            .filter(is_verified)
            .copied()
            .collect()
    }

    /// Whether a page of another site may have made the browser send it.
    pub fn may_be_foreign(&self) -> bool {
        self.may_be_foreign
    }

    /// Its cutoffs, by what is known of the shop's clock now.
    pub fn cutoffs(&self) -> Vec<Revocation> {
        let moment = self.shop.clock.moment(self.at);
        let on_time = |one: &Revocation| match *one {
            Revocation::Token { .. } | Revocation::Date { .. } => None,
            Revocation::Cutoff { id, until, .. } => Some(Revocation::Cutoff {
                id,
                not_before: moment.cutoff(self.issued_at(id)),
                until,
            }),
        };
        let cutoffs = self.revocations.iter().filter_map(on_time).collect();
        sparing(&self.spared, cutoffs)
    }

    /// When the last of the presented tokens of a customer was issued.
    fn issued_at(&self, customer: Id) -> Option<UnixTime> {
        let of_customer = self.issued.iter().filter(|(id, _)| *id == customer);
        of_customer.map(|(_, at)| *at).max()
    }

    /// Refuses it, because it could not be carried out.
    pub fn refuse(&self, refusal: Refusal) -> Refused<'_> {
        Refused::for_shop(&self.shop, self.api, refusal).with_words(self.rule.words_for(refusal))
    }

    /// What its repetitions are counted by: the customer of its token, or the token. `None`: it came without one.
    pub fn counted_by(&self) -> Option<Id> {
        let customer = self.issued.first().map(|(customer, _)| *customer);
        customer.or_else(|| self.token())
    }

    /// The first token that it revokes, for the log.
    pub fn token(&self) -> Option<Id> {
        self.revocations
            .iter()
            .find_map(|revocation| match revocation {
                Revocation::Token { id, .. } => Some(*id),
                Revocation::Cutoff { .. } | Revocation::Date { .. } => None,
            })
    }
}

/// Puts the exceptions of each cutoff before it, so that a spared token is not refused in between.
pub(in crate::request) fn sparing(spared: &[Id], revocations: Vec<Revocation>) -> Vec<Revocation> {
    let all = revocations.into_iter();
    all.flat_map(|one| {
        let exceptions = spared.iter().filter_map(move |id| one.sparing(*id));
        exceptions.chain([one])
    })
    .collect()
}
