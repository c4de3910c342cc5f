//! Judges a visit: no credential of it is dead, and what its route demands is there.

use std::sync::Arc;

use smallvec::SmallVec;

use super::credential::{self, Occasion, Segments};
use super::dead_cookie::SetAside;
use super::gate::{Arrival, Gate};
use super::refusal::Refusal;
use super::request::Request;
use super::route::Enforce;
use super::shop::{Alive, Shop, Tokens};
use super::verdict::Verdict;
use crate::clock::UnixTime;
use crate::revocation::{Cause, Id};

/// How many JWTs of one body are verified; no client sends as many.
const SWEPT_JWTS_MAX: usize = 16;

impl Gate {
    /// A visit: every credential is judged by itself, and what the route demands is there.
    pub(super) fn admit<'g>(
        &self,
        shop: &'g Arc<Shop>,
        (occasion, enforce): (Occasion, Enforce),
        arrival: Arrival<'_, '_>,
        aside: &mut SetAside,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let Arrival { request, asked, .. } = arrival;
        let named = arrival.token_of_path;
        let formers = shop.verifier.formers();
        let mut credentials = credential::take_all(&shop.places, occasion, request, named)?;
        if !formers.places().is_empty() {
            credentials.extend(credential::take_former(formers.places(), occasion, request));
        }
        self.refuse_unknowing(credentials.is_empty(), now)?;
        let (mut alive, mut watched) = (Alive::new(), Tokens::new());
        for credential in credentials {
            let counts = credential.counts_at(occasion);
            match self.read(shop, &credential, now) {
                Ok(token) if counts => alive.push((token, credential)),
                Ok(token) => watched.push(token),
                Err(refusal) if credential.is_ignored(refusal, counts) => {}
                Err(refusal) => aside.take(&credential, refusal)?,
            }
        }
        self.refuse_dead_body(shop, request, now)?;
        let doubtful = shop.confirm(&mut alive, (occasion, asked), now)?;
        if !doubtful.is_empty() {
            return Ok(Verdict::Ask(shop, doubtful));
        }
        let mut tokens = Tokens::new();
        let mut living: SmallVec<[Segments<'_>; 2]> = SmallVec::new();
        for (token, credential) in alive {
            let judged = self
                .refuse_confirmed(shop, &token, now)
                .and_then(|()| self.refuse_forgotten(&token, now))
                .and_then(|()| enforce.admit_token(&token, now));
            match judged {
                Ok(()) => {
                    tokens.push(token);
                    living.extend((!credential.segments.is_empty()).then_some(credential.segments));
                }
                Err(refusal) => aside.take(&credential, refusal)?,
            }
        }
        if enforce.needs_credential() && tokens.is_empty() {
            return Err(aside.refusal.unwrap_or(Refusal::NoCredential));
        }
        tokens.extend(watched);
        aside.keep_names_of(living.iter().flatten().copied());
        Ok(Verdict::Forward {
            shop,
            tokens,
            is_demanded: enforce.needs_credential(),
            dead_cookies: std::mem::take(&mut aside.cookies),
        })
    }

    /// No text of the body is a dead token, whatever it is called there.
    pub(super) fn refuse_dead_body(
        &self,
        shop: &Shop,
        request: &Request<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if request.body.is_none() || !shop.sweeps_bodies() {
            return Ok(());
        }
        if credential::is_in_strange_letters(request) {
            return Err(Refusal::MalformedCredential);
        }
        let mut jwts: SmallVec<[Id; 4]> = SmallVec::new();
        let mut look = |text: &str| self.refuse_dead_text(shop, text, &mut jwts, now).err();
        let refusal = credential::texts_of(request, &mut look);
        refusal.map_or(Ok(()), Err)
    }

    /// A text of a body is no dead token, and no JWT of it is one. `jwts`: those that were found before it.
    pub(super) fn refuse_dead_text(
        &self,
        shop: &Shop,
        text: &str,
        jwts: &mut SmallVec<[Id; 4]>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        for token in shop.read_jwts(text, now)? {
            self.refuse_revoked(shop, &token)?;
            let id = token.identity().id;
            if token.is_verified() && !jwts.contains(&id) {
                jwts.push(id);
            }
        }
        if jwts.len() > SWEPT_JWTS_MAX {
            return Err(Refusal::MalformedCredential);
        }
        if !self.revocations.has_undated() {
            return Ok(());
        }
        for token in shop.digests_of(text)? {
            if self.revocations.has_undated_token(&token) {
                let cause = Cause::Token;
                return Err(Refusal::Revoked { cause, token });
            }
        }
        Ok(())
    }
}
