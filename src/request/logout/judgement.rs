//! Judges a logout: collects its valid tokens and what they revoke.

use std::sync::Arc;

use smallvec::SmallVec;

use super::recognised_logout::{LogOut, sparing};
use super::rule::{LogoutRule, Reach, Scope};
use crate::clock::UnixTime;
use crate::request::answers::Refusal;
use crate::request::arrived::Arrived;
use crate::request::calls::Purpose;
use crate::request::cookie::{DeadCookie, DeadCookies, dead_cookies};
use crate::request::credential::{Certainty, Credential, Credentials, Occasion};
use crate::request::introspection::PendingToken;
use crate::request::presented_token::{AllPresented, Presented};
use crate::request::routes::Enforce;
use crate::request::shop::Shop;
use crate::request::site::may_be_sent_by_another_site;
use crate::request::token::{Flaw, Token, has_jwt_shape};
use crate::request::verdict::Verdict;
use crate::revocation::{Id, Revocation, Source};

/// How many unverified tokens may accompany a verified one without an allowance. A browser sends a few; a verified token can do
/// so once, because the logout revokes it.
const COMPANIONS_MAX: usize = 4;

/// The credentials that a logout carries.
struct LogoutCredentials<'a> {
    /// The tokens that are not revoked.
    alive: AllPresented<'a>,
    /// The first fault of a credential.
    fault: Option<Refusal>,
    /// Whether it carries no credential of a customer.
    is_bare: bool,
}

impl LogoutCredentials<'_> {
    /// Notes the fault of a credential. A revoked cookie is no fault if the rule has no answer for it: the browser sends it by
    /// itself.
    fn note_fault(&mut self, rule: &LogoutRule, credential: &Credential<'_>, refusal: Refusal) {
        let is_excused = credential.is_ambient() && rule.invalid.is_none();
        if !is_excused && !credential.is_ignored(refusal, true) {
            self.fault.get_or_insert(refusal);
        }
    }

    /// Refuses a logout that has nothing to revoke, unless the rule accepts a logout without a credential.
    fn refuse_without_token(&self, rule: &LogoutRule) -> Result<(), Refusal> {
        match self.fault {
            Some(refusal) if self.alive.is_empty() => Err(refusal),
            None if self.is_bare && rule.missing.is_some() => Err(Refusal::NoCredential),
            Some(_) | None => Ok(()),
        }
    }
}

impl<'g> Arrived<'g, '_> {
    /// Judges every credential by itself. A revoked one does not prevent the others from being revoked, and an expired one is
    /// revoked, too.
    pub(in crate::request) fn judge_logout(
        &self,
        rule: &'g Arc<LogoutRule>,
        aside: &mut DeadCookies,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let (gate, shop, request) = (self.gate, self.shop, &self.view.request);
        rule.check_client_key(request)?;
        let mut credentials = self.credentials(Purpose::LogOut(rule))?;
        credentials.retain(|credential| credential.counts_at(Occasion::Logout));
        gate.refuse_unsynced(credentials.is_empty(), now)?;
        let when = rule.when_sent_by(request, &credentials, &shop.hosts)?;
        let may_be_foreign = may_be_sent_by_another_site(request, &credentials, &shop.hosts);
        let mut carried = self.judge_credentials(rule, credentials, aside, now)?;
        let pending = self.pending_at_logout(&mut carried.alive, now)?;
        if !pending.is_empty() {
            return Ok(Verdict::Introspect(shop, pending));
        }
        self.keep_confirmed(rule, &mut carried, aside, now);
        carried.refuse_without_token(rule)?;
        let alive = carried.alive;
        let mut subjects = self.named_subjects();
        alive.iter().for_each(|one| subjects.note(one, now));
        let dead_cookies = std::mem::take(&mut aside.cookies);
        let revocations = self.revocations_of(&alive, rule, now);
        let spared = spared_by(rule, &alive);
        if revocations.is_empty() && !alive.is_empty() && !spared.is_empty() {
            return Err(Refusal::Unverifiable(Flaw::NoCustomer)); // no token names the customer of the others
        }
        let is_foreign = |one: &Presented<'_>| shop.shares_hosts() && is_unverified_jwt(one);
        let ended = alive.iter().filter(|one| !is_foreign(one));
        let ended = cookies_of_revoked(ended, &spared, &dead_cookies);
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
            api: self.api(),
            deletions: shop.deletions_at(rule, &ended, request),
            dead_cookies,
            expired: are_expired(&alive, now),
            graphql: rule.graphql_outcome(self.view.graphql()),
            subject: subjects.only(),
        })))
    }

    /// The tokens of the credentials, each judged by itself.
    fn judge_credentials<'a>(
        &self,
        rule: &LogoutRule,
        credentials: Credentials<'a>,
        aside: &mut DeadCookies,
        now: UnixTime,
    ) -> Result<LogoutCredentials<'a>, Refusal> {
        let mut carried = LogoutCredentials {
            alive: AllPresented::new(),
            fault: None,
            is_bare: true,
        };
        for credential in credentials {
            match self.live_token_at_logout(&credential, now) {
                Ok(token) if !token.is_revocable() => {} // every visitor has it, so it is no credential here
                Ok(token) => {
                    carried.is_bare = false;
                    carried.alive.push(Presented { token, credential });
                }
                Err(refusal) if refusal.is_passing() => {
                    aside.note_place(&credential);
                    return Err(refusal);
                }
                Err(refusal) => {
                    carried.is_bare = false;
                    aside.note_place(&credential);
                    carried.note_fault(rule, &credential, refusal);
                    if !credential.is_ignored(refusal, true) {
                        aside.set_aside(&credential, refusal);
                    }
                }
            }
        }
        Ok(carried)
    }

    /// The token of a credential, or a refusal if it is invalid or revoked. A JWT that no key can verify counts by its digest,
    /// because the shop may know it; where the logout is only observed, so does one that another configuration might verify.
    fn live_token_at_logout(
        &self,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let is_kept = |flaw: Flaw| flaw.may_be_mended() && self.is_kept_unverified(credential);
        match self.live_token(credential, now) {
            Err(Refusal::Unverifiable(flaw)) if flaw.is_undecided() || is_kept(flaw) => {
                let token = self.shop.verifier.by_digest(&credential.text);
                self.gate.refuse_revoked(self.shop, &token)?;
                Ok(token)
            }
            judged => judged,
        }
    }

    /// Whether a JWT that can't be verified is revoked all the same: the logout is only observed, and the shop answers it.
    fn is_kept_unverified(&self, credential: &Credential<'_>) -> bool {
        let is_jwt = credential.certainty == Certainty::Exact && has_jwt_shape(&credential.text);
        is_jwt && self.is_observed_logout()
    }

    /// The tokens that the shop must be asked about, without those that its last answer shows to be revoked.
    fn pending_at_logout(
        &self,
        alive: &mut [Presented<'_>],
        now: UnixTime,
    ) -> Result<Vec<PendingToken>, Refusal> {
        let shop = self.shop;
        let mut pending = shop.confirm(alive, Occasion::Logout, self.asked, now)?;
        pending.retain(|one| {
            let mut tokens = alive.iter().map(|one| &one.token);
            let known = tokens.find(|token| token.identity().id == one.id());
            known.is_none_or(|token| self.gate.refuse_confirmed(shop, token, now).is_ok())
        });
        Ok(pending)
    }

    /// Keeps the tokens that are not revoked by what the shop said of them, and that look like the shop's.
    fn keep_confirmed(
        &self,
        rule: &LogoutRule,
        carried: &mut LogoutCredentials<'_>,
        aside: &mut DeadCookies,
        now: UnixTime,
    ) {
        for Presented { token, credential } in std::mem::take(&mut carried.alive) {
            let judged = self
                .gate
                .refuse_confirmed(self.shop, &token, now)
                .and_then(|()| {
                    if self.is_kept_unverified(&credential) {
                        return Ok(());
                    }
                    self.shop.refuse_implausible(&token, &credential)
                });
            match judged {
                Ok(()) => carried.alive.push(Presented { token, credential }),
                Err(refusal) => {
                    carried.note_fault(rule, &credential, refusal);
                    aside.note_place(&credential);
                    aside.set_aside(&credential, refusal);
                }
            }
        }
    }

    /// What a logout with these tokens revokes.
    fn revocations_of(
        &self,
        alive: &[Presented<'_>],
        rule: &LogoutRule,
        now: UnixTime,
    ) -> Vec<Revocation> {
        let shop = self.shop;
        let settings = shop.verifier.settings();
        let moment = shop.clock.moment(now);
        let companions = companions_in(alive);
        let mut revocations = Vec::with_capacity(2);
        let spared = spared_by(rule, alive);
        for Presented { token, credential } in alive {
            let id = token.identity().id;
            let is_vouched =
                companions.contains(&id) || self.gate.revocations.was_accepted(token.identity());
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

/// The tokens that came with a verified one. They need no allowance: there are no more of them than verified tokens allow.
fn companions_in(alive: &[Presented<'_>]) -> SmallVec<[Id; COMPANIONS_MAX]> {
    let mut companions = SmallVec::new();
    if !alive.iter().any(|one| one.token.is_verified()) {
        return companions;
    }
    for Presented { token, .. } in alive {
        let id = token.identity().id;
        let is_new = !token.is_verified() && !companions.contains(&id);
        if is_new && companions.len() < COMPANIONS_MAX {
            companions.push(id);
        }
    }
    companions
}

/// The unverified tokens that the shop may know, or could not be asked about.
fn likely_among(alive: &[Presented<'_>], shop: &Shop) -> Vec<Id> {
    let is_asked = shop.verifier.settings().introspection.is_some();
    let is_likely = |token: &Token| {
        let is_silent = is_asked && token.opaque_id().is_some();
        is_silent || (!token.is_verified() && shop.likely.holds(&token.identity().id))
    };
    let tokens = alive.iter().map(|one| &one.token);
    let likely = tokens.filter(|token| is_likely(token));
    likely.map(|token| token.identity().id).collect()
}

/// Whether the shop's yes can only be about one token; one other may accompany it, such as a refresh token.
fn is_single(alive: &[Presented<'_>]) -> bool {
    let own = |one: &&Presented<'_>| !one.credential.place.is_accompanying();
    match alive.len() {
        0 | 1 => true,
        2 => alive.iter().filter(own).count() == 1,
        _ => false,
    }
}

/// The issue times of the presented tokens that name their customer, as far as they or the shop say so.
fn issue_times_of(alive: &[Presented<'_>]) -> Vec<(Id, UnixTime)> {
    let tokens = alive.iter().map(|one| &one.token);
    let issued = tokens.filter_map(|token| token.customer().zip(token.said_issued_at()));
    issued.collect()
}

/// The presented tokens that the logout spares.
fn spared_by(rule: &LogoutRule, alive: &[Presented<'_>]) -> Vec<Id> {
    if rule.revoke != Scope::Others {
        return Vec::new();
    }
    alive.iter().map(|one| one.token.identity().id).collect()
}

/// Whether it is a JWT that counts by its digest alone. Where shops share a host it may be another shop's.
fn is_unverified_jwt(one: &Presented<'_>) -> bool {
    !one.token.is_verified() && has_jwt_shape(&one.credential.text)
}

/// The names of the cookies whose tokens are revoked after the logout.
fn cookies_of_revoked<'a, 'r: 'a>(
    ended: impl Iterator<Item = &'a Presented<'r>>,
    spared: &[Id],
    dead: &[DeadCookie],
) -> Vec<String> {
    let ended = ended.filter(|one| !spared.contains(&one.token.identity().id));
    let segments = ended.flat_map(|one| &one.credential.segments);
    let alive = segments.map(|segment| dead_cookies::name_in(segment));
    let dead = dead.iter().filter(|cookie| !cookie.may_be_foreign);
    let dead = dead.map(|cookie| cookie.name.clone());
    alive.chain(dead).collect()
}

/// Whether all presented tokens had expired. Hints do not count: they may have.
fn are_expired(alive: &[Presented<'_>], now: UnixTime) -> bool {
    let is_expired = |one: &Presented<'_>| {
        !one.credential.place.is_hint()
            && Enforce::Valid.refuse_untimely(&one.token, now) == Err(Refusal::Expired)
    };
    !alive.is_empty() && alive.iter().all(is_expired)
}
