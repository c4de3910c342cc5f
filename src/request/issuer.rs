//! One issuer of a shop's tokens: its keys, and what a token says that they verify.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use smallvec::SmallVec;

use super::claims;
use super::compact::{Compact, decode_object, key_id, refuse_other_types};
use super::flaw::{ClaimName, Flaw, Unreadable};
use super::json::NO_CHARACTER;
use super::key_ring::KeyRing;
use super::key_source::{JwksSource, KeySource};
use super::keys::{self, Keys};
use super::token::Verified;
use super::token_settings::TokenSettings;
use crate::clock::UnixTime;
use crate::revocation::{Cause, Group, Id, Identity, Kind as Digest, Window};

/// An issuer of a shop's tokens, as a `[shop.token]` describes it.
pub struct Issuer {
    settings: Arc<TokenSettings>,
    /// Where its keys are fetched; `None`: they were given.
    source: Option<JwksSource>,
    ring: Arc<KeyRing>,
}

/// How far in the future a token may have been issued: any wrong clock, but not another year.
const FUTURE_MAX: Duration = Duration::from_hours(24);

/// From here on a time is hardly in seconds: it would be in the year 5138. As milliseconds it is 1973.
const MILLISECONDS_MIN: u64 = 100_000_000_000;

impl Issuer {
    /// Verifies with the keys of this source. Those that are fetched are yet to come.
    pub fn new(settings: TokenSettings, source: KeySource) -> Self {
        let (source, keys) = match source {
            KeySource::Given(keys) => (None, keys),
            KeySource::Fetched(source) => (Some(source), Keys::default()),
        };
        Self {
            settings: Arc::new(settings),
            source,
            ring: Arc::new(KeyRing::new(keys)),
        }
    }

    /// Takes over from those that were there before a reload: keys that were fetched from the same place, and what the
    /// keys have verified if nothing has changed about that. Otherwise all is as if new.
    pub(super) fn inherit(&mut self, old: &[Self]) {
        let mut sources = old.iter().filter(|old| self.has_source_of(old));
        let is_same = |old: &&Self| self.settings.is_same(&old.settings);
        if let Some(old) = sources.clone().find(is_same) {
            self.ring = Arc::clone(&old.ring);
            return;
        }
        let algorithms = &self.settings.algorithms;
        let of_same_kind = sources.find(|old| *algorithms == old.settings.algorithms);
        if let Some(old) = of_same_kind.filter(|_| self.source.is_some()) {
            self.ring = Arc::new(old.ring.without_memory());
        }
    }

    fn has_source_of(&self, old: &Self) -> bool {
        match (&self.source, &old.source) {
            (None, None) => {
                let (ours, theirs) = (self.ring.held(), old.ring.held());
                ours.keys.is_same_document(&theirs.keys)
            }
            (Some(new), Some(old)) => new.is_same_set(old),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// What the operator said.
    pub fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// Where its keys are fetched; `None`: they were given.
    pub fn source(&self) -> Option<&JwksSource> {
        self.source.as_ref()
    }

    /// Its keys, for the fetcher.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.ring.held().keys.count()
    }

    /// Whether its keys are there, or it needs none; those that are fetched may be yet to come.
    pub fn has_keys(&self) -> bool {
        self.source.is_none() || self.key_count() > 0
    }

    /// Verifies a token with these keys.
    pub(super) fn verify(
        &self,
        keys: &Keys,
        token: &Compact<'_>,
        now: UnixTime,
    ) -> Result<Verified, Flaw> {
        let algorithm = self.accepted_algorithm(&token.header)?;
        let key_id = key_id(&token.header)?;
        refuse_other_types(&token.header)?;
        self.check_key_id(key_id)?;
        if self.source.is_some() && keys.count() == 0 {
            return Err(Flaw::NoKeys);
        }
        if let Err(flaw) = verify_signature(keys, token.signed, token.signature, algorithm, key_id)
        {
            let may_come = key_id.is_some_and(|id| self.may_come(id, keys, token.payload, now));
            return Err(if may_come { Flaw::KeyPending } else { flaw });
        }
        let payload = decode_object(token.payload)?; // only now: what follows may believe it
        self.verified(token.signed, &payload, now)
    }

    /// Standards 30, 31, 35, 39: the algorithm is one of the pinned, and nothing asks for more.
    pub(super) fn accepted_algorithm(&self, header: &Value) -> Result<Algorithm, Flaw> {
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Flaw::Critical);
        }
        let name = header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !keys::is_signature_algorithm(name) {
            return Err(Flaw::Algorithm);
        }
        keys::algorithm(name)
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or(Flaw::UnpinnedAlgorithm)
    }

    /// The key is one of those that are named, where some are.
    pub(super) fn check_key_id(&self, key_id: Option<&str>) -> Result<(), Flaw> {
        let named = &self.settings.key_ids;
        let is_ours = key_id.is_some_and(|id| named.iter().any(|one| one == id));
        if named.is_empty() || is_ours {
            Ok(())
        } else {
            Err(Flaw::UnknownKey)
        }
    }

    /// A key that we do not have may be a new one. Not one of an issuer whose tokens are not taken: others' tokens, and
    /// what is made up at random, cause no fetch.
    fn may_come(&self, key_id: &str, keys: &Keys, payload: &str, now: UnixTime) -> bool {
        let is_ours = || decode_object(payload).is_ok_and(|it| self.accepted_issuer(&it).is_ok());
        let is_fetched = self.source.is_some() && !keys.know(key_id);
        is_fetched && is_ours() && self.ring.may_come(key_id, now)
    }

    fn verified(&self, signed: &str, payload: &Value, now: UnixTime) -> Result<Verified, Flaw> {
        let issuer = self.accepted_issuer(payload)?;
        self.check_audience(payload)?;
        let said = self.settings.claims.read(payload)?;
        let is_future = |begin: &UnixTime| *begin > now.plus(FUTURE_MAX);
        if let Some(begin) = said.issued_at.filter(is_future) {
            let in_seconds = UnixTime::from_seconds(begin.seconds() / 1000);
            if begin.seconds() >= MILLISECONDS_MIN && !is_future(&in_seconds) {
                return Err(Flaw::Claim(ClaimName::IssuedAt, Unreadable::Milliseconds));
            }
            return Err(Flaw::IssuedInFuture);
        }
        let fingerprint = self.fingerprint(signed);
        let named = said.id.as_ref();
        let named = named.map(|id| self.digest(Digest::Token, issuer, id));
        let former = self.settings.claims.former_customer(payload);
        let subjects = [said.subject.as_deref(), former.as_deref()];
        let mut groups = self.groups(issuer, said.session.as_deref(), &subjects);
        if let Some(id) = said.id.as_ref().filter(|_| !issuer.is_empty()) {
            // An operator may name the id alone.
            groups.push(Group {
                id: self.of_any_issuer(id),
                cause: Cause::Token,
            });
        }
        if named.is_some() {
            // Before its key was here, it could be revoked by its digest only.
            groups.push(Group {
                id: fingerprint,
                cause: Cause::Token,
            });
        }
        let identity = Identity {
            id: named.unwrap_or(fingerprint),
            window: Window::of(said.expires_at),
            groups,
            issued_at: said.issued_at,
        };
        let pinned = self.pinned(issuer);
        let name = |kind, name: &String| self.digest(kind, pinned, name);
        Ok(Verified {
            identity,
            expires_at: said.expires_at,
            not_before: said.not_before,
            subject: said.subject.as_ref().map(|one| name(Digest::Subject, one)),
            session: said.session.as_ref().map(|one| name(Digest::Session, one)),
            fingerprint: self.settings.forward_unverifiable.then_some(fingerprint),
            is_revocable: self.is_revocable(payload),
            settings: Arc::clone(&self.settings),
        })
    }

    /// Whether it has the claims without which a token can't be revoked by a customer.
    fn is_revocable(&self, payload: &Value) -> bool {
        let mut wanted = self.settings.only_with.iter();
        wanted.all(|pointer| {
            pointer
                .find(payload)
                .is_some_and(|it| !claims::is_empty(it))
        })
    }

    /// The digest of a token's own text.
    pub(super) fn fingerprint(&self, text: &str) -> Id {
        let domain = self.settings.token_domain.as_bytes();
        Id::of(Digest::Fingerprint, &[domain, text.as_bytes()])
    }

    /// Everything a cutoff could name this token by. Session and customer are looked for under the issuer
    /// and under none, so that pinning the issuers later forgets no logout; the customer also under the name of before
    /// populations were told apart.
    pub(super) fn groups(
        &self,
        issuer: &str,
        session: Option<&str>,
        subjects: &[Option<&str>],
    ) -> SmallVec<[Group; 8]> {
        let mut groups = SmallVec::new();
        let sessions = [(session, Digest::Session, Cause::Session)].into_iter();
        let subjects = subjects.iter();
        let subjects = subjects.map(|name| (*name, Digest::Subject, Cause::Subject));
        for (name, digest, cause) in sessions.chain(subjects) {
            let Some(name) = name else { continue };
            for issuer in [issuer, ""] {
                let id = self.digest(digest, issuer, name);
                groups.push(Group { id, cause });
                if issuer.is_empty() {
                    break;
                }
            }
        }
        groups.push(Group {
            id: Id::of_realm(&self.settings.token_domain),
            cause: Cause::Realm,
        });
        groups
    }

    /// The issuer under which customers and sessions are known: only where the operator pinned it. One key
    /// may sign for one shop under several issuers; some libraries put the login's address there.
    fn pinned<'i>(&self, issuer: &'i str) -> &'i str {
        if self.settings.issuers.is_empty() {
            ""
        } else {
            issuer
        }
    }

    /// The digest under which a customer, session or token is known in this token domain.
    pub(super) fn digest(&self, kind: Digest, issuer: &str, name: &str) -> Id {
        let domain = self.settings.token_domain.as_bytes();
        Id::of(kind, &[domain, issuer.as_bytes(), name.as_bytes()])
    }

    /// The digest by which an operator revokes a token by its id, whatever its `iss` is. A logout never does: other issuers
    /// may give the same id to another token.
    pub(super) fn of_any_issuer(&self, id: &str) -> Id {
        let domain = self.settings.token_domain.as_bytes();
        Id::of(Digest::Token, &[domain, id.as_bytes()])
    }

    /// Whether a token that says this `iss` could be good.
    pub(super) fn may_be_of(&self, issuer: &str) -> bool {
        let issuers = &self.settings.issuers;
        issuers.is_empty() || issuers.iter().any(|one| one == issuer)
    }

    /// Standards 57: present, a string, and one of ours letter by letter. Unpinned, it is whatever it says.
    pub(super) fn accepted_issuer<'p>(&self, payload: &'p Value) -> Result<&'p str, Flaw> {
        let issuer = payload.get("iss").and_then(Value::as_str);
        if self.settings.issuers.is_empty() {
            let issuer = issuer.unwrap_or_default();
            let is_whole = !issuer.contains(NO_CHARACTER);
            return is_whole.then_some(issuer).ok_or(Flaw::Issuer);
        }
        let issuer = issuer.ok_or(Flaw::Issuer)?;
        let known = self.settings.issuers.iter().any(|one| one == issuer);
        known.then_some(issuer).ok_or(Flaw::Issuer)
    }

    /// Standards 56: a string or an array of strings that names one of ours.
    fn check_audience(&self, payload: &Value) -> Result<(), Flaw> {
        let wanted = &self.settings.audiences;
        let is_ours = |one: &Value| {
            one.as_str()
                .is_some_and(|one| wanted.iter().any(|ours| ours == one))
        };
        let named = match payload.get("aud") {
            _ if wanted.is_empty() => true,
            Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        named.then_some(()).ok_or(Flaw::Audience)
    }
}

fn verify_signature(
    keys: &Keys,
    signed: &str,
    signature: &str,
    algorithm: Algorithm,
    key_id: Option<&str>,
) -> Result<(), Flaw> {
    let mut flaw = Flaw::UnknownKey;
    for key in keys.candidates(algorithm, key_id) {
        match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm) {
            Ok(true) => return Ok(()),
            Ok(false) | Err(_) => flaw = Flaw::Signature,
        }
    }
    Err(flaw)
}
