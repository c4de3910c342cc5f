//! A storefront's logout: how it is recognised, what it revokes and how it is answered.

use std::time::Duration;

use http::HeaderName;
use regex::Regex;

use super::agreement::Agreement;
use crate::clock::UnixTime;
use crate::request::answers::{Refusal, Words};
use crate::request::calls::{Call, Request};
use crate::request::clocks::Moment;
use crate::request::cookie::CookieDeletion;
use crate::request::graphql::{GraphQlOutcome, GraphQlReading};
use crate::request::site::WebOrigin;
use crate::request::token::{Confirmed, Token, TokenSettings, Verified};
use crate::revocation::{Identity, MARGIN, Revocation, Source, Window};

/// A call by which customers log out.
#[derive(Debug)]
pub struct LogoutRule {
    /// How it is called.
    pub call: Call,
    /// Which tokens it revokes.
    pub revoke: Scope,
    /// What answers it: Doorward or the shop.
    pub answer: AnswerBy,
    /// Whether the shop must agree first, if the shop answers.
    pub when: When,
    /// The shop's answers that count as a yes; `None`: any answer of its own.
    pub agreed: Option<Agreement>,
    /// The answer that the shop gives only to a token that it knows; `None`: not configured.
    pub confirms: Option<Agreement>,
    /// The answer to a successful logout.
    pub success: Words,
    /// The answer to a logout without a credential; `None`: it is answered with success.
    pub missing: Option<Words>,
    /// The answer to an invalid, expired or revoked credential; `None`: the ordinary refusal.
    pub invalid: Option<Words>,
    /// The shop's client key, where a logout must carry it.
    pub client_key: Option<ClientKey>,
    /// The cookies that a logout deletes.
    pub clear_cookies: Vec<CookieDeletion>,
    /// Whether pages of other origins may not log a customer out by cookie.
    pub same_origin: bool,
    /// The exceptions to that.
    pub origins: Vec<WebOrigin>,
}

/// Which tokens a logout revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The presented token.
    Token,
    /// Every token of its session.
    Session,
    /// Every token of its customer that was issued before the logout.
    Subject,
    /// Every token of its customer but the presented one.
    Others,
}

impl Scope {
    /// Whether it is about the tokens of the customer.
    pub(in crate::request) fn reaches_customer(self) -> bool {
        matches!(self, Self::Subject | Self::Others)
    }
}

/// What answers a logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBy {
    /// Doorward, in the preset's words. The shop gets no request.
    Doorward,
    /// The shop; with or without the customer's credential headers.
    Shop {
        /// Whether it gets them.
        with_credentials: bool,
    },
}

/// When a logout takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// As soon as it is recognised, before it is sent to the shop.
    #[default]
    AtOnce,
    /// Once the shop has said yes.
    ShopAgreed,
}

/// A header by which a shop knows its clients. It is no credential of a customer.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// Its name.
    pub header: HeaderName,
    /// What a key looks like.
    pub pattern: Regex,
    /// The answer to a request without one.
    pub missing: Words,
    /// The answer to a request with something else.
    pub invalid: Words,
}

impl LogoutRule {
    /// The rule's own words for a refusal, if it has some.
    pub fn words_for(&self, refusal: Refusal) -> Option<&Words> {
        let key = self.client_key.as_ref();
        if refusal == Refusal::NoCredential {
            return self.missing.as_ref();
        }
        if refusal == Refusal::NoClientKey {
            return key.map(|key| &key.missing);
        }
        if refusal == Refusal::BadClientKey {
            return key.map(|key| &key.invalid);
        }
        self.invalid.as_ref().filter(|_| refusal.is_about_token())
    }

    /// The shop's client key must be there and look like one.
    pub fn check_client_key(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(key) = &self.client_key else {
            return Ok(());
        };
        let mut given = request.head.headers.get_all(&key.header).iter();
        let (Some(only), None) = (given.next(), given.next()) else {
            return Err(Refusal::NoClientKey);
        };
        let fits = only
            .to_str()
            .is_ok_and(|given| key.pattern.is_match(given.trim()));
        if fits {
            Ok(())
        } else {
            Err(Refusal::BadClientKey)
        }
    }

    /// Whether the body of the shop's answer must be read.
    pub fn reads_answer(&self) -> bool {
        let mut agreements = self.agreed.iter().chain(&self.confirms);
        agreements.any(Agreement::reads_body)
    }

    /// What a GraphQL request executes beside this logout.
    pub(in crate::request) fn graphql_outcome(
        &self,
        reading: Option<&GraphQlReading>,
    ) -> Option<GraphQlOutcome> {
        let condition = self.call.graphql.as_ref()?;
        Some(condition.outcome(reading?))
    }

    /// What a logout with this token revokes. An opaque one is revoked by its digest, with this source, also if the shop does not
    /// know it: the presented token must be revoked when the customer is told of success.
    pub(in crate::request) fn revocations(
        &self,
        token: &Token,
        settings: &TokenSettings,
        source: Source,
        reach: Reach,
        moment: Moment,
    ) -> Vec<Revocation> {
        match token {
            Token::Verified(token) => revocations_of_verified(token, self.revoke, reach, moment),
            Token::Confirmed(token) => {
                revocations_of_confirmed(token, self.revoke, settings, moment)
            }
            Token::Opaque(_) | Token::Inactive(_) if self.revoke == Scope::Others => Vec::new(),
            Token::Opaque(identity) | Token::Inactive(identity) => {
                vec![revocation_of_opaque(
                    identity,
                    source,
                    settings,
                    moment.now(),
                )]
            }
        }
    }
}

/// What the shop's answer to a logout says of a credential that could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assent {
    /// The shop was not asked, or not told the credential.
    NotAsked,
    /// It knows the token: its answer is only given to a known one.
    Proved,
    /// It said yes, which it may do for any token.
    Given,
    /// It does not know the token.
    Denied,
    /// It failed, or its answer says neither yes nor no.
    Unclear,
}

impl Assent {
    /// Whether the shop said yes.
    pub fn is_yes(self) -> bool {
        match self {
            Self::Proved | Self::Given => true,
            Self::NotAsked | Self::Denied | Self::Unclear => false,
        }
    }
}

/// Whether an expired token may revoke the other tokens of its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) enum Reach {
    /// No: a token that is no longer accepted revokes only itself.
    WhileAccepted,
    /// Yes: it is a hint, which may have expired.
    Always,
}

/// The entries for a verified token: its own, and those that the scope adds.
pub(in crate::request) fn revocations_of_verified(
    token: &Verified,
    scope: Scope,
    reach: Reach,
    moment: Moment,
) -> Vec<Revocation> {
    let settings = &token.settings;
    let accepted_until = settings.accepted_until(token, moment.now());
    let until = accepted_until.plus(MARGIN);
    let dead = |id, window| Revocation::Token {
        id,
        window,
        until,
        source: Source::Verified,
    };
    let itself = (scope != Scope::Others).then(|| dead(token.identity.id, token.identity.window));
    let respelled = token.fingerprint.filter(|_| scope != Scope::Others);
    let respelled = respelled.map(|id| dead(id, Window::UNDATED));
    let not_before = moment.cutoff(token.identity.issued_at);
    let longest = until.max(settings.undated_until(moment.now().max(not_before)));
    let rest = match scope {
        _ if reach == Reach::WhileAccepted && moment.has_passed(accepted_until) => None,
        Scope::Token => None,
        Scope::Session => token.session.map(|id| Revocation::of_session(id, longest)),
        Scope::Subject | Scope::Others => token.subject.map(|id| Revocation::Cutoff {
            id,
            not_before,
            until: longest,
        }),
    };
    itself.into_iter().chain(respelled).chain(rest).collect()
}

/// The entries for a confirmed token: its own, and a cutoff of its customer if the scope says so.
fn revocations_of_confirmed(
    token: &Confirmed,
    scope: Scope,
    settings: &TokenSettings,
    moment: Moment,
) -> Vec<Revocation> {
    let presented = revocation_of_opaque(&token.identity, Source::Verified, settings, moment.now());
    let others = token.subject.filter(|_| scope.reaches_customer());
    let not_before = moment.cutoff(token.issued_at);
    let others = others.map(|id| Revocation::Cutoff {
        id,
        not_before,
        until: settings.undated_until(moment.now().max(not_before)),
    });
    let presented = (scope != Scope::Others).then_some(presented);
    presented.into_iter().chain(others).collect()
}

/// The entry for an opaque token, for as long as the shop could accept it.
pub(in crate::request) fn revocation_of_opaque(
    identity: &Identity,
    source: Source,
    settings: &TokenSettings,
    now: UnixTime,
) -> Revocation {
    Revocation::Token {
        id: identity.id,
        window: identity.window,
        until: settings.undated_until(now),
        source,
    }
}

impl TokenSettings {
    /// Until when a token without an end that is issued now could be accepted, plus the margin.
    pub fn undated_until(&self, now: UnixTime) -> UnixTime {
        self.longest_life()
            .map_or(UnixTime::FOREVER, |life| now.plus(life))
    }

    /// How long a token without an end could be accepted, plus the margin; `None`: for ever.
    pub fn longest_life(&self) -> Option<Duration> {
        let longest = self.max_lifetime?.max(self.refresh_window);
        Some(longest + self.leeway + MARGIN)
    }

    /// The last moment at which this token, or a refresh for it, is accepted.
    pub(in crate::request) fn accepted_until(&self, token: &Verified, now: UnixTime) -> UnixTime {
        let Some(end) = token.expires_at else {
            return self.undated_until(now);
        };
        let issued_at = token.identity.issued_at.unwrap_or(now);
        end.max(issued_at.plus(self.refresh_window))
            .plus(self.leeway)
    }
}
