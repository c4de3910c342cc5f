//! Judges a logout: what is alive of its credentials ends.

use std::sync::Arc;

use smallvec::SmallVec;

use super::credential::{self, Credential, Occasion};
use super::dead_cookie::{self, DeadCookie, SetAside};
use super::flaw::Flaw;
use super::gate::{Arrival, Gate};
use super::graphql;
use super::logout::{LogoutRule, Reach, Scope};
use super::recognised_logout::{LogOut, sparing};
use super::refusal::Refusal;
use super::request::Request;
use super::request_site::may_be_sent_by_another_site;
use super::route::Enforce;
use super::shop::{Alive, Shop};
use super::token::Token;
use super::verdict::Verdict;
use crate::clock::UnixTime;
use crate::revocation::{Id, Revocation, Source};

/// How many tokens beside a verified one are taken on its word. A browser sends a few; each verified token speaks once, for it
/// is dead then.
const COMPANIONS_MAX: usize = 4;

impl Gate {
    /// A logout: every credential is judged by itself. What is alive ends, what is dead stays dead and keeps nothing
    /// else from ending; what has expired may still be revoked.
    pub(super) fn log_out<'g>(
        &self,
        shop: &'g Arc<Shop>,
        rule: &'g Arc<LogoutRule>,
        arrival: Arrival<'_, '_>,
        aside: &mut SetAside,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let Arrival { request, asked, .. } = arrival;
        rule.check_client_key(request)?;
        let named = arrival.token_of_path;
        let mut credentials = credential::take_all(&shop.places, Occasion::Logout, request, named)?;
        credentials.retain(|credential| credential.counts_at(Occasion::Logout));
        self.refuse_unknowing(credentials.is_empty(), now)?;
        let when = rule.when_sent_by(request, &credentials, &shop.hosts)?;
        let may_be_foreign = may_be_sent_by_another_site(request, &credentials, &shop.hosts);
        let mut is_bare = true;
        let (mut alive, mut refused) = (Alive::new(), None);
        for credential in credentials {
            match self.read_for_logout(shop, &credential, now) {
                Ok(token) if !token.is_revocable() => {} // nobody's, so it is no credential here
                Ok(token) => {
                    is_bare = false;
                    alive.push((token, credential));
                }
                Err(refusal) if refusal.is_passing() => return Err(refusal),
                Err(refusal) => {
                    is_bare = false;
                    note_refused(&mut refused, rule, &credential, refusal);
                    if !credential.is_ignored(refusal, true) {
                        aside.note(&credential, refusal);
                    }
                }
            }
        }
        let mut doubtful = shop.confirm(&mut alive, (Occasion::Logout, asked), now)?;
        // What is dead as the shop's word was does not get there.
        doubtful.retain(|one| {
            let mut tokens = alive.iter().map(|(token, _)| token);
            let known = tokens.find(|token| token.identity().id == one.id());
            known.is_none_or(|token| self.refuse_confirmed(shop, token, now).is_ok())
        });
        if !doubtful.is_empty() {
            return Ok(Verdict::Ask(shop, doubtful));
        }
        alive.retain(|(token, credential)| {
            let judged = self
                .refuse_confirmed(shop, token, now)
                .and_then(|()| shop.refuse_implausible(token, credential));
            if let Err(refusal) = judged {
                note_refused(&mut refused, rule, credential, refusal);
                aside.note(credential, refusal);
            }
            judged.is_ok()
        });
        match refused {
            Some(refusal) if alive.is_empty() => return Err(refusal),
            None if is_bare && rule.missing.is_some() => return Err(Refusal::NoCredential),
            Some(_) | None => {}
        }
        let dead_cookies = std::mem::take(&mut aside.cookies);
        let revocations = self.revocations_of(&alive, shop, rule, now);
        let spared = spared_by(rule, &alive);
        let is_vain = revocations.is_empty() && !alive.is_empty() && !spared.is_empty();
        if is_vain {
            return Err(Refusal::Unverifiable(Flaw::NoCustomer)); // nobody knows whose the others are
        }
        let ended = ended_cookies(&alive, &spared, &dead_cookies);
        Ok(Verdict::LogOut(Box::new(LogOut {
            shop: Arc::clone(shop),
            rule: Arc::clone(rule),
            revocations,
            likely: likely_among(&alive, shop),
            is_single: is_single(&alive),
            issued: issue_times_of(&alive),
            spared,
            when,
            may_be_foreign,
            at: now,
            deletions: shop.deletions_at(rule, &ended, request),
            dead_cookies,
            expired: are_expired(&alive, now),
            graphql: graphql_of(rule, request),
        })))
    }

    /// The same at a logout, where a JWT that no key can judge ends by its digest: the shop may know it.
    pub(super) fn read_for_logout(
        &self,
        shop: &Shop,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        match self.read(shop, credential, now) {
            Err(Refusal::Unverifiable(flaw)) if flaw.is_undecided() => {
                let token = shop.verifier.by_digest(&credential.text);
                self.refuse_revoked(shop, &token)?;
                Ok(token)
            }
            judged => judged,
        }
    }

    /// What a logout with these revokes.
    pub(super) fn revocations_of(
        &self,
        alive: &Alive<'_>,
        shop: &Shop,
        rule: &LogoutRule,
        now: UnixTime,
    ) -> Vec<Revocation> {
        let settings = shop.verifier.settings();
        let moment = shop.clock.moment(now);
        let companions = companions_in(alive);
        let mut revocations = Vec::with_capacity(2);
        let spared = spared_by(rule, alive);
        for (token, credential) in alive {
            let id = token.identity().id;
            let is_vouched =
                companions.contains(&id) || self.revocations.was_accepted(token.identity());
            let source = if is_vouched {
                Source::Verified
            } else {
                Source::Unverified(shop.tag)
            };
            let reach = if credential.place.is_hint() {
                Reach::Always
            } else {
                Reach::WhileAccepted
            };
            revocations.extend(rule.revocations(token, settings, source, reach, moment));
        }
        if rule.revoke == Scope::Others {
            let is_spared = |one: &Revocation| matches!(one, Revocation::Token { id, .. } if spared.contains(id));
            revocations.retain(|one| !is_spared(one));
            return sparing(&spared, revocations);
        }
        revocations
    }
}

/// The tokens that came with a verified one, and are not rationed: there are no more of them than of those.
fn companions_in(alive: &Alive<'_>) -> SmallVec<[Id; COMPANIONS_MAX]> {
    let mut companions = SmallVec::new();
    if !alive.iter().any(|(token, _)| token.is_verified()) {
        return companions;
    }
    for (token, _) in alive {
        let id = token.identity().id;
        let is_new = !token.is_verified() && !companions.contains(&id);
        if is_new && companions.len() < COMPANIONS_MAX {
            companions.push(id);
        }
    }
    companions
}

/// The tokens that the shop may know although nothing verifies them, or that it could not be asked about.
fn likely_among(alive: &Alive<'_>, shop: &Shop) -> Vec<Id> {
    let is_asked = shop.verifier.settings().inquiry.is_some();
    let is_likely = |token: &Token| {
        let is_silent = is_asked && token.opaque_id().is_some();
        is_silent || (!token.is_verified() && shop.likely.holds(&token.identity().id))
    };
    let likely = alive.iter().filter(|(token, _)| is_likely(token));
    likely.map(|(token, _)| token.identity().id).collect()
}

/// Whether a yes to a logout can only be about one token; it may bring one other, such as a refresh token.
fn is_single(alive: &Alive<'_>) -> bool {
    let own = |(_, credential): &&(Token, Credential<'_>)| !credential.place.is_accompanying();
    match alive.len() {
        0 | 1 => true,
        2 => alive.iter().filter(own).count() == 1,
        _ => false,
    }
}

/// When the presented tokens were issued that name their customer, as far as they or the shop say so.
fn issue_times_of(alive: &Alive<'_>) -> Vec<(Id, UnixTime)> {
    let tokens = alive.iter().map(|(token, _)| token);
    let issued = tokens.filter_map(|token| token.customer().zip(token.said_issued_at()));
    issued.collect()
}

/// The presented tokens that a logout leaves alive.
fn spared_by(rule: &LogoutRule, alive: &Alive<'_>) -> Vec<Id> {
    if rule.revoke != Scope::Others {
        return Vec::new();
    }
    alive.iter().map(|(token, _)| token.identity().id).collect()
}

/// The names of the cookies whose tokens are dead after a logout.
fn ended_cookies(alive: &Alive<'_>, spared: &[Id], dead: &[DeadCookie]) -> Vec<String> {
    let ended = alive
        .iter()
        .filter(|(token, _)| !spared.contains(&token.identity().id));
    let segments = ended.flat_map(|(_, credential)| &credential.segments);
    let alive = segments.map(|segment| dead_cookie::name_in(segment));
    let dead = dead.iter().map(|cookie| cookie.name.clone());
    alive.chain(dead).collect()
}

/// Whether all that a logout brought had expired. A hint may have.
fn are_expired(alive: &Alive<'_>, now: UnixTime) -> bool {
    let is_expired = |(token, credential): &(Token, Credential<'_>)| {
        !credential.place.is_hint()
            && Enforce::Valid.admit_token(token, now) == Err(Refusal::Expired)
    };
    !alive.is_empty() && alive.iter().all(is_expired)
}

/// The first thing that is wrong with what a logout brought. A cookie comes by itself: a dead one is no fault where
/// the shop has no words for it.
fn note_refused(
    refused: &mut Option<Refusal>,
    rule: &LogoutRule,
    credential: &Credential<'_>,
    refusal: Refusal,
) {
    let is_excused = credential.is_ambient() && rule.invalid.is_none();
    if !is_excused && !credential.is_ignored(refusal, true) {
        refused.get_or_insert(refusal);
    }
}

/// What a GraphQL request executes beside this logout.
fn graphql_of(rule: &LogoutRule, request: &Request<'_>) -> Option<graphql::Outcome> {
    let condition = rule.call.graphql.as_ref()?;
    Some(condition.outcome(request.graphql.get()?))
}
