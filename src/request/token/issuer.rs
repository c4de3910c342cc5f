//! One issuer of a shop's tokens: verifies them with its keys, and computes the digests by which they are revoked.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use smallvec::SmallVec;

use super::claims::{self, ClaimValues};
use super::compact::{Compact, decode_object, key_id, refuse_other_types, signed_part};
use super::flaw::{ClaimName, Flaw, Unreadable};
use super::key_ring::KeyRing;
use super::key_source::{JwksSource, KeySource};
use super::keys::{self, Keys};
use super::known_token::Verified;
use super::settings::TokenSettings;
use crate::clock::UnixTime;
use crate::request::introspection::{IntrospectionRequest, ResponsePointers};
use crate::request::payload::NO_CHARACTER;
use crate::revocation::{Cause, Group, Id, IdKind, Identity, Window};

/// An issuer of a shop's tokens: a `[shop.token]` of the configuration.
pub struct Issuer {
    settings: Arc<TokenSettings>,
    /// Where its keys are fetched; `None`: they are in the configuration.
    source: Option<JwksSource>,
    ring: Arc<KeyRing>,
    /// The token domain as a part of digests.
    domain: Vec<u8>,
    /// The hosts and paths of the shop, if its token domain is its own name and no other shop shares it.
    own_hosts: Vec<String>,
    name_sources: NameSources,
    /// Where an introspection response names the customer.
    asked: Option<ResponsePointers>,
}

/// A token, session or customer that an operator names.
#[derive(Clone, Copy)]
pub(in crate::request) struct OperatorName<'n> {
    /// Which of the three.
    pub(in crate::request) kind: IdKind,
    /// The `iss` of the tokens; `None`: any.
    pub(in crate::request) issuer: Option<&'n str>,
    /// The name.
    pub(in crate::request) name: &'n str,
}

/// The claims that names are read from; `None`: the usual claim. They are part of the digests, so that a `5` of one claim is
/// not taken for a `5` of another.
#[derive(Default)]
struct NameSources {
    id: Option<String>,
    session: Option<String>,
    subject: Option<String>,
    all_customers: Option<String>,
}

impl NameSources {
    /// Without JWTs, customers are named by introspection responses. With JWTs, both name the same customers by the claim.
    fn from_settings(settings: &TokenSettings, asked: Option<&ResponsePointers>) -> Self {
        let claims = &settings.claims;
        let asked = asked.filter(|_| settings.algorithms.is_empty());
        let unless = |usual: &str, said: String| (said != usual).then_some(said);
        let subject: Vec<_> = claims.subject.iter().map(ToString::to_string).collect();
        let issued_at = claims.issued_at.source_text();
        Self {
            id: unless("/jti", claims.id.to_string()),
            session: unless("/sid", claims.session.to_string()),
            subject: match asked {
                Some(pointers) => Some(pointers.source_text()),
                None => unless("/sub /iat", format!("{} {issued_at}", subject.join(" "))),
            },
            all_customers: unless("/iat", issued_at),
        }
    }

    fn source_of(&self, kind: IdKind) -> Option<&str> {
        match kind {
            IdKind::Token => self.id.as_deref(),
            IdKind::Session => self.session.as_deref(),
            IdKind::Subject => self.subject.as_deref(),
            IdKind::TokenDomain => self.all_customers.as_deref(),
            IdKind::Fingerprint | IdKind::Spared | IdKind::Accepted => None,
        }
    }
}

/// How far in the future a token may have been issued: clocks differ, but not by a year.
const FUTURE_MAX: Duration = Duration::from_hours(24);

/// Times from here on are probably in milliseconds: in seconds this is the year 5138, in milliseconds 1973.
const MILLISECONDS_MIN: u64 = 100_000_000_000;

impl Issuer {
    /// An issuer with the keys of this source. Keys that are fetched are still missing.
    pub fn new(settings: TokenSettings, source: KeySource) -> Self {
        let (source, keys) = match source {
            KeySource::Given(keys) => (None, keys),
            KeySource::Fetched(source) => (Some(source), Keys::default()),
        };
        let asked = settings
            .introspection
            .as_ref()
            .map(IntrospectionRequest::pointers);
        Self {
            name_sources: NameSources::from_settings(&settings, asked.as_ref()),
            domain: settings.token_domain.clone().into_bytes(),
            own_hosts: Vec::new(),
            asked,
            settings: Arc::new(settings),
            source,
            ring: Arc::new(KeyRing::new(keys)),
        }
    }

    /// An issuer that only computes digests, as a former configuration did, and verifies nothing.
    pub(in crate::request) fn for_names_only(
        settings: TokenSettings,
        asked: Option<ResponsePointers>,
    ) -> Self {
        Self {
            name_sources: NameSources::from_settings(&settings, asked.as_ref()),
            asked,
            ..Self::new(settings, KeySource::Given(Keys::default()))
        }
    }

    /// Ties the token domain to these hosts and paths, because it belongs to one shop. A later shop of this name on other hosts
    /// is another shop.
    pub(in crate::request) fn own_domain(&mut self, mut hosts: Vec<String>) {
        if hosts.is_empty() {
            return;
        }
        hosts.sort_unstable();
        self.own_hosts = hosts;
        let hosts = blake3::hash(self.own_hosts.join("\n").as_bytes());
        self.domain = self.settings.token_domain.clone().into_bytes();
        self.domain.push(0);
        self.domain.extend_from_slice(&hosts.as_bytes()[..8]);
    }

    /// The hosts and paths that the token domain is tied to: see [`Issuer::own_domain`].
    pub(in crate::request) fn own_hosts(&self) -> &[String] {
        &self.own_hosts
    }

    /// Where an introspection response names the customer.
    pub(in crate::request) fn asked(&self) -> Option<&ResponsePointers> {
        self.asked.as_ref()
    }

    /// The marks that tell its keys from others, in their order: 32 bits of a digest each, which reveal no key. Several secrets
    /// have one each, a set has one. Empty: it has no keys.
    pub(in crate::request) fn key_marks(&self) -> Vec<u32> {
        let mark = |digest: &blake3::Hash| {
            let [a, b, c, d, ..] = *blake3::hash(digest.as_bytes()).as_bytes();
            u32::from_le_bytes([a, b, c, d])
        };
        match &self.source {
            Some(source) => vec![mark(&blake3::hash(source.url.to_string().as_bytes()))],
            None => self.ring.held().keys.documents().iter().map(mark).collect(),
        }
    }

    /// Takes over the keys that were fetched from the same source before a reload, and the tokens that they verified if the
    /// settings are the same.
    pub(in crate::request) fn inherit(&mut self, old: &[Self]) {
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
            return;
        }
        let mut counted = old.iter();
        if let Some(old) = counted.find(|old| self.settings.overlaps(&old.settings)) {
            let counted = old.ring.held();
            self.ring.held().keys.count_on(&counted.keys);
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

    /// Its settings.
    pub fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// Where its keys are fetched; `None`: they are in the configuration.
    pub fn source(&self) -> Option<&JwksSource> {
        self.source.as_ref()
    }

    /// Its keys, for the fetcher.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Its keys.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.ring.held().keys)
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.ring.held().keys.count()
    }

    /// Whether its keys are there, or none are needed. Keys that are fetched may still be missing.
    pub fn has_keys(&self) -> bool {
        self.source.is_none() || self.key_count() > 0
    }

    /// Verifies a token with these keys.
    pub(in crate::request) fn verify(
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
            let may_be_fetched =
                key_id.is_some_and(|id| self.may_be_fetched(id, keys, token.payload, now));
            return Err(if may_be_fetched {
                Flaw::KeyPending
            } else {
                flaw
            });
        }
        let payload = decode_object(token.payload)?; // only now that the signature is verified
        self.verified(token.signed, &payload, now)
    }

    /// Standards 30, 31, 35, 39: the algorithm is pinned, and the header requires no extension.
    pub(in crate::request) fn accepted_algorithm(&self, header: &Value) -> Result<Algorithm, Flaw> {
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

    /// Refuses a `kid` that is not configured, if some are.
    pub(in crate::request) fn check_key_id(&self, key_id: Option<&str>) -> Result<(), Flaw> {
        let named = &self.settings.key_ids;
        let is_ours = key_id.is_some_and(|id| named.iter().any(|one| one == id));
        if named.is_empty() || is_ours {
            Ok(())
        } else {
            Err(Flaw::UnknownKey)
        }
    }

    /// Whether a missing key may be a new one, which a fetch brings. Tokens of other issuers cause no fetch.
    fn may_be_fetched(&self, key_id: &str, keys: &Keys, payload: &str, now: UnixTime) -> bool {
        let is_ours = || decode_object(payload).is_ok_and(|it| self.accepted_issuer(&it).is_ok());
        let is_fetched = self.source.is_some() && !keys.has_key(key_id);
        is_fetched && is_ours() && self.ring.may_be_fetched(key_id, now)
    }

    fn verified(&self, signed: &str, payload: &Value, now: UnixTime) -> Result<Verified, Flaw> {
        let issuer = self.accepted_issuer(payload)?;
        self.check_audience(payload)?;
        let said = self.settings.claims.values_in(payload)?;
        let is_future = |begin: &UnixTime| *begin > now.plus(FUTURE_MAX);
        if let Some(begin) = said.issued_at.filter(is_future) {
            let in_seconds = UnixTime::from_seconds(begin.seconds() / 1000);
            if begin.seconds() >= MILLISECONDS_MIN && !is_future(&in_seconds) {
                return Err(Flaw::Claim(ClaimName::IssuedAt, Unreadable::Milliseconds));
            }
            return Err(Flaw::IssuedInFuture);
        }
        let fingerprint = self.fingerprint(signed);
        let identity = self.identity(issuer, &said, fingerprint, payload);
        let pinned = self.pinned(issuer);
        let name = |kind, name: &String| self.digest(kind, pinned, name);
        Ok(Verified {
            identity,
            expires_at: said.expires_at,
            not_before: said.not_before,
            subject: said.subject.as_ref().map(|one| name(IdKind::Subject, one)),
            session: said.session.as_ref().map(|one| name(IdKind::Session, one)),
            fingerprint: self.settings.forward_unverifiable.then_some(fingerprint),
            is_revocable: self.is_revocable(payload),
            settings: Arc::clone(&self.settings),
        })
    }

    /// The digests by which a token with this payload can be revoked.
    fn identity(
        &self,
        issuer: &str,
        said: &ClaimValues,
        fingerprint: Id,
        payload: &Value,
    ) -> Identity {
        let named = said.id.as_ref();
        let named = named.map(|id| self.digest(IdKind::Token, issuer, id));
        let mut groups = self.groups(issuer, said.session.as_deref(), said.subject.as_deref());
        if let Some(name) = self.settings.claims.former_customer(payload) {
            groups.extend(with_and_without(issuer).map(|issuer| Group {
                id: self.digest_without_population(issuer, &name),
                cause: Cause::Subject,
            }));
        }
        if let Some(id) = said.id.as_ref().filter(|_| !issuer.is_empty()) {
            // An operator may name the id alone.
            groups.push(Group {
                id: self.digest_for_any_issuer(id),
                cause: Cause::Token,
            });
        }
        if named.is_some() {
            // Before its key was known, it could be revoked by its digest only.
            groups.push(Group {
                id: fingerprint,
                cause: Cause::Token,
            });
        }
        Identity {
            id: named.unwrap_or(fingerprint),
            window: Window::of(said.expires_at),
            groups,
            issued_at: said.issued_at,
            former: Box::default(),
        }
    }

    /// The identity of a token that fits this issuer, without a look at its signature.
    pub(in crate::request) fn identity_unverified(
        &self,
        token: &Compact<'_>,
        payload: &Value,
    ) -> Option<Identity> {
        self.accepted_algorithm(&token.header).ok()?;
        self.check_key_id(key_id(&token.header).ok()?).ok()?;
        let issuer = self.accepted_issuer(payload).ok()?;
        let said = self.settings.claims.values_in(payload).ok()?;
        let fingerprint = self.fingerprint(token.signed);
        Some(self.identity(issuer, &said, fingerprint, payload))
    }

    /// The identity of an unverified token that claims this issuer. It is looked up by its customer and session only where
    /// `iss` is pinned: other issuers may use the same numbers.
    pub(in crate::request) fn claimed_identity(
        &self,
        token: &Compact<'_>,
        payload: &Value,
    ) -> Option<Identity> {
        let mut identity = self.identity_unverified(token, payload)?;
        if !self.has_pinned_issuers() {
            identity.groups.retain(|group| group.cause == Cause::Token);
        }
        Some(identity)
    }

    /// Whether it has the claims without which a token can't be revoked by a customer.
    fn is_revocable(&self, payload: &Value) -> bool {
        let mut wanted = self.settings.revocable_with.iter();
        wanted.all(|pointer| {
            pointer
                .find(payload)
                .is_some_and(|it| !claims::is_empty(it))
        })
    }

    /// The digest of a text: of a token, or of the part that is signed.
    pub(in crate::request) fn fingerprint(&self, text: &str) -> Id {
        Id::digest(IdKind::Fingerprint, &[&self.domain, text.as_bytes()])
    }

    /// The digest of an opaque token with this token key.
    pub(in crate::request) fn opaque_digest(&self, name: &str) -> Id {
        self.fingerprint(signed_part(name))
    }

    /// The digests of all groups that the token belongs to: session, customer, token domain. Session and customer are looked
    /// up with the issuer and without one, because an order may have named none.
    pub(in crate::request) fn groups(
        &self,
        issuer: &str,
        session: Option<&str>,
        subject: Option<&str>,
    ) -> SmallVec<[Group; 8]> {
        let mut groups = SmallVec::new();
        let named = [
            (session, IdKind::Session, Cause::Session),
            (subject, IdKind::Subject, Cause::Subject),
        ];
        for (name, digest, cause) in named {
            let Some(name) = name else { continue };
            groups.extend(with_and_without(issuer).map(|issuer| Group {
                id: self.digest(digest, issuer, name),
                cause,
            }));
        }
        groups.push(Group {
            id: self.all_customers(),
            cause: Cause::TokenDomain,
        });
        groups
    }

    /// The digest of all customers whose tokens it issues.
    pub(in crate::request) fn all_customers(&self) -> Id {
        match self.name_sources.source_of(IdKind::TokenDomain) {
            None => Id::digest(IdKind::TokenDomain, &[&self.domain]),
            Some(reading) => Id::digest(IdKind::TokenDomain, &[&self.domain, reading.as_bytes()]),
        }
    }

    /// The issuer as a part of the digests of customers and sessions: only where it is pinned. One key may sign for a shop
    /// under several issuers; some libraries write the address of the login there.
    fn pinned<'i>(&self, issuer: &'i str) -> &'i str {
        if self.settings.issuers.is_empty() {
            ""
        } else {
            issuer
        }
    }

    /// The digest of a customer, session or token in this token domain. Without an issuer it stands for all pinned issuers, and
    /// differs from the digest before any was pinned: that name may be another issuer's now.
    pub(in crate::request) fn digest(&self, kind: IdKind, issuer: &str, name: &str) -> Id {
        let of_pinned = issuer.is_empty() && self.has_pinned_issuers();
        let reading = self.name_sources.source_of(kind);
        let mut parts: SmallVec<[&[u8]; 5]> = SmallVec::new();
        parts.extend([&self.domain, issuer.as_bytes(), name.as_bytes()]);
        parts.extend(reading.map(str::as_bytes));
        parts.extend(of_pinned.then_some(&b"\0pinned"[..]));
        Id::digest(kind, &parts)
    }

    /// Whether names without an issuer stand for all pinned issuers.
    fn has_pinned_issuers(&self) -> bool {
        !self.settings.issuers.is_empty()
    }

    /// The digest by which an operator revokes a token by its id, for any `iss`. A logout does not use it: another issuer may
    /// give the same id to another token.
    pub(in crate::request) fn digest_for_any_issuer(&self, id: &str) -> Id {
        let domain = self.domain.as_slice();
        let reading = self
            .name_sources
            .source_of(IdKind::Token)
            .map(str::as_bytes);
        match reading {
            None => Id::digest(IdKind::Token, &[domain, id.as_bytes()]),
            Some(reading) => Id::digest(IdKind::Token, &[domain, id.as_bytes(), reading, b"\0any"]),
        }
    }

    /// The digests that refuse the tokens that an operator names.
    pub(in crate::request) fn operator_digests(
        &self,
        named: OperatorName<'_>,
    ) -> impl Iterator<Item = Id> {
        let OperatorName { kind, issuer, name } = named;
        let fits = issuer.is_none_or(|issuer| self.may_be_of(issuer));
        let by_id = fits && kind == IdKind::Token && issuer.is_none();
        let of_any = by_id.then(|| self.digest_for_any_issuer(name));
        let issuer = issuer.unwrap_or_default();
        let named = fits.then(|| self.digest(kind, issuer, name));
        let has_populations = self.settings.claims.subject.len() > 1;
        let is_customer = fits && kind == IdKind::Subject && has_populations;
        let whole = is_customer.then(|| self.digest_without_population(issuer, name));
        named.into_iter().chain(of_any).chain(whole)
    }

    /// The digest of a customer without a population: an operator may name none, and a former configuration may have had none.
    fn digest_without_population(&self, issuer: &str, name: &str) -> Id {
        let parts = [&self.domain, issuer.as_bytes(), name.as_bytes()];
        Id::digest(IdKind::Subject, &parts)
    }

    /// Whether this `iss` is accepted.
    pub(in crate::request) fn may_be_of(&self, issuer: &str) -> bool {
        let issuers = &self.settings.issuers;
        issuers.is_empty() || issuers.iter().any(|one| one == issuer)
    }

    /// Standards 57: a pinned issuer must be present, a string, and equal letter by letter. Without pinned issuers any is
    /// accepted.
    pub(in crate::request) fn accepted_issuer<'p>(
        &self,
        payload: &'p Value,
    ) -> Result<&'p str, Flaw> {
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

    /// Standards 56: a string or an array of strings that holds a configured audience.
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

/// The issuer, and the empty one.
fn with_and_without(issuer: &str) -> impl Iterator<Item = &str> {
    let none = (!issuer.is_empty()).then_some("");
    std::iter::once(issuer).chain(none)
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
        if key.verifies(signed, signature, algorithm) {
            return Ok(());
        }
        flaw = Flaw::Signature;
    }
    Err(flaw)
}
