//! Judges a visit: refuses it for a revoked credential, or for one that its route requires and that is missing.

use smallvec::SmallVec;

use super::answers::Refusal;
use super::arrived::Arrived;
use super::calls::Purpose;
use super::cookie::DeadCookies;
use super::credential::{self, Segments};
use super::presented_token::{AllPresented, Presented};
use super::routes::Enforce;
use super::shop::Tokens;
use super::verdict::Verdict;
use crate::clock::UnixTime;
use crate::revocation::Cause;

/// How many JWTs of one body are verified; no client sends as many.
const SWEPT_JWTS_MAX: usize = 16;

impl<'g> Arrived<'g, '_> {
    /// Judges every credential by itself, then asks whether one is there that the route accepts.
    pub(super) fn judge_visit(
        &self,
        purpose: Purpose<'g>,
        enforce: Enforce,
        aside: &mut DeadCookies,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let (gate, shop, occasion) = (self.gate, self.shop, purpose.occasion());
        let formers = shop.verifier.formers();
        let mut credentials = self.credentials(purpose)?;
        if !formers.places().is_empty() {
            let former = credential::extract_former(formers.places(), occasion, &self.view);
            credentials.extend(former);
        }
        gate.refuse_unsynced(credentials.is_empty(), now)?;
        let (mut alive, mut watched) = (AllPresented::new(), Tokens::new());
        for credential in credentials {
            let counts = credential.counts_at(occasion);
            match self.live_token(&credential, now) {
                Ok(token) if counts => alive.push(Presented { token, credential }),
                Ok(token) => watched.push(token),
                Err(refusal) if credential.is_ignored(refusal, counts) => {}
                Err(refusal) => aside.refuse_or_set_aside(&credential, refusal)?,
            }
        }
        let in_body = self
            .refuse_dead_body(now)
            .inspect_err(|_| aside.place = Some("body".to_owned()))?;
        let pending = shop.confirm(&mut alive, occasion, self.asked, now)?;
        if !pending.is_empty() {
            return Ok(Verdict::Introspect(shop, pending));
        }
        let mut tokens = Tokens::new();
        let mut living: SmallVec<[Segments<'_>; 2]> = SmallVec::new();
        let mut subjects = self.named_subjects();
        for presented in alive {
            let token = &presented.token;
            let judged = gate
                .refuse_confirmed(shop, token, now)
                .and_then(|()| gate.refuse_forgotten(token, now))
                .and_then(|()| shop.refuse_untimely(token, enforce, now));
            if judged.is_ok() {
                subjects.note(&presented, now);
            }
            let Presented { token, credential } = presented;
            match judged {
                Ok(()) => {
                    tokens.push(token);
                    living.extend((!credential.segments.is_empty()).then_some(credential.segments));
                }
                Err(refusal) => aside.refuse_or_set_aside(&credential, refusal)?,
            }
        }
        if enforce.needs_credential() && tokens.is_empty() {
            return Err(aside.refusal.unwrap_or(Refusal::NoCredential));
        }
        for token in watched.into_iter().chain(in_body) {
            let id = token.identity().id;
            if tokens.iter().all(|other| other.identity().id != id) {
                tokens.push(token);
            }
        }
        aside.keep_names_of(living.iter().flatten().copied());
        Ok(Verdict::Forward {
            shop,
            tokens,
            is_demanded: enforce.needs_credential(),
            dead_cookies: std::mem::take(&mut aside.cookies),
            subject: subjects.only(),
            observed: None,
        })
    }

    /// Refuses a body in which any text is a revoked token, under any name. Returns the JWTs of the body: they may be revoked
    /// while it waits for a server.
    fn refuse_dead_body(&self, now: UnixTime) -> Result<Tokens, Refusal> {
        let (shop, request) = (self.shop, &self.view.request);
        let mut jwts = Tokens::new();
        if request.body.is_none() || !shop.sweeps_bodies() {
            return Ok(jwts);
        }
        if credential::has_foreign_charset(request) {
            return Err(Refusal::MalformedCredential);
        }
        let mut look = |text: &str| self.refuse_dead_text(text, &mut jwts, now).err();
        let refusal = credential::find_in_texts(request, &mut look);
        refusal.map_or(Ok(jwts), Err)
    }

    /// Refuses a text that is a revoked token or holds a revoked JWT. `jwts`: the JWTs that this body held before it.
    fn refuse_dead_text(
        &self,
        text: &str,
        jwts: &mut Tokens,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (gate, shop) = (self.gate, self.shop);
        for token in shop.jwts_of(text, now)? {
            gate.refuse_revoked(shop, &token)?;
            let id = token.identity().id;
            if token.is_verified() && jwts.iter().all(|other| other.identity().id != id) {
                jwts.push(token);
            }
        }
        if jwts.len() > SWEPT_JWTS_MAX {
            return Err(Refusal::MalformedCredential);
        }
        if !gate.revocations.has_undated() {
            return Ok(());
        }
        for token in shop.digests_of(text)? {
            if gate.revocations.has_undated_token(&token) {
                let cause = Cause::Token;
                let by = token;
                return Err(Refusal::Revoked { cause, token, by });
            }
        }
        Ok(())
    }
}
