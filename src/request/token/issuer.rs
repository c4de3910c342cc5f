//! One issuer of a shop's tokens: its keys, and what a token says that they verify.

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

/// An issuer of a shop's tokens, as a `[shop.token]` describes it.
pub struct Issuer {
    settings: Arc<TokenSettings>,
    /// Where its keys are fetched; `None`: they were given.
    source: Option<JwksSource>,
    ring: Arc<KeyRing>,
    /// The token domain, as it stands in digests.
    domain: Vec<u8>,
    /// The hosts of the shop that alone has this token domain, by its name.
    own_hosts: Vec<String>,
    name_sources: NameSources,
    /// Where a shop that is asked says whose a token is.
    asked: Option<ResponsePointers>,
    /// Names tokens as versions did whose digests did not say from where a name was read.
    is_legacy: bool,
}

/// A token by its id claim, a session or a customer, as an operator names it.
#[derive(Clone, Copy)]
pub(in crate::request) struct OperatorName<'n> {
    /// Which of them.
    pub(in crate::request) kind: IdKind,
    /// The `iss` of the tokens; `None`: any.
    pub(in crate::request) issuer: Option<&'n str>,
    /// The name.
    pub(in crate::request) name: &'n str,
}

/// From where names are read, as far as that is not where most tokens have them: part of the digests, so that what is
/// called `5` by one claim is not what was called `5` by another.
#[derive(Default)]
struct NameSources {
    id: Option<String>,
    session: Option<String>,
    subject: Option<String>,
    all_customers: Option<String>,
}

impl NameSources {
    /// A shop that is asked about all of its tokens names their customers; one with JWTs means the same customers by both.
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
            is_legacy: false,
        }
    }

    /// Names tokens as a former configuration did, and verifies none. `is_legacy`: by digests that did not say from
    /// where a name was read.
    pub(in crate::request) fn for_names_only(
        settings: TokenSettings,
        asked: Option<ResponsePointers>,
        is_legacy: bool,
    ) -> Self {
        let name_sources = if is_legacy {
            NameSources::default()
        } else {
            NameSources::from_settings(&settings, asked.as_ref())
        };
        Self {
            name_sources,
            asked,
            is_legacy,
            ..Self::new(settings, KeySource::Given(Keys::default()))
        }
    }

    /// The token domain is that of the shop with these hosts, and of no other: one that has its name later is another shop.
    pub(in crate::request) fn own_domain(&mut self, mut hosts: Vec<String>) {
        if hosts.is_empty() {
            return;
        }
        hosts.sort_unstable();
        self.own_hosts = hosts;
        if !self.is_legacy {
            let hosts = blake3::hash(self.own_hosts.join("\n").as_bytes());
            self.domain = self.settings.token_domain.clone().into_bytes();
            self.domain.push(0);
            self.domain.extend_from_slice(&hosts.as_bytes()[..8]);
        }
    }

    /// See [`Issuer::own_domain`].
    pub(in crate::request) fn own_hosts(&self) -> &[String] {
        &self.own_hosts
    }

    /// Where a shop that is asked says whose a token is.
    pub(in crate::request) fn asked(&self) -> Option<&ResponsePointers> {
        self.asked.as_ref()
    }

    /// Whether its digests are others than those of versions that did not say from where a name was read.
    pub(in crate::request) fn differs_from_legacy(&self) -> bool {
        let kinds = [
            IdKind::Token,
            IdKind::Session,
            IdKind::Subject,
            IdKind::TokenDomain,
        ];
        let mut kinds = kinds.iter();
        let is_other = self.has_pinned_issuers() || !self.own_hosts.is_empty();
        is_other || kinds.any(|kind| self.name_sources.source_of(*kind).is_some())
    }

    /// What tells its keys from others: 32 bits of a digest, from which no key can be had. `None`: it has none.
    pub(in crate::request) fn key_mark(&self) -> Option<u32> {
        let digest = match &self.source {
            Some(source) => Some(blake3::hash(source.url.to_string().as_bytes())),
            None => self.ring.held().keys.document(),
        };
        digest.map(|digest| {
            let [a, b, c, d, ..] = *blake3::hash(digest.as_bytes()).as_bytes();
            u32::from_le_bytes([a, b, c, d])
        })
    }

    /// Takes over from those that were there before a reload: keys that were fetched from the same place, and what the
    /// keys have verified if nothing has changed about that. Otherwise all is as if new.
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
        let payload = decode_object(token.payload)?; // only now: what follows may believe it
        self.verified(token.signed, &payload, now)
    }

    /// Standards 30, 31, 35, 39: the algorithm is one of the pinned, and nothing asks for more.
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

    /// The key is one of those that are named, where some are.
    pub(in crate::request) fn check_key_id(&self, key_id: Option<&str>) -> Result<(), Flaw> {
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

    /// By what a token with this payload can be refused.
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
            // Before its key was here, it could be revoked by its digest only.
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

    /// By what a token could be refused that this issuer would have taken for its own; its signature is not asked for.
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

    /// The same for a token that says that it is of this issuer: by its customer and session only where `iss` is pinned, for
    /// others may number theirs alike.
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
        let mut wanted = self.settings.only_with.iter();
        wanted.all(|pointer| {
            pointer
                .find(payload)
                .is_some_and(|it| !claims::is_empty(it))
        })
    }

    /// The digest of a token's own text.
    pub(in crate::request) fn fingerprint(&self, text: &str) -> Id {
        Id::of(IdKind::Fingerprint, &[&self.domain, text.as_bytes()])
    }

    /// The digest of an opaque token of that name.
    pub(in crate::request) fn opaque_digest(&self, name: &str) -> Id {
        self.fingerprint(signed_part(name))
    }

    /// Everything a cutoff could name this token by. Session and customer are looked for under the issuer
    /// and under none: the shop, or the operator, may have named none.
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
            None => Id::of(IdKind::TokenDomain, &[&self.domain]),
            Some(reading) => Id::of(IdKind::TokenDomain, &[&self.domain, reading.as_bytes()]),
        }
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

    /// The digest under which a customer, session or token is known in this token domain. Under no issuer it is that of
    /// all issuers that are pinned here, where some are: a name from the time before may be another issuer's now.
    pub(in crate::request) fn digest(&self, kind: IdKind, issuer: &str, name: &str) -> Id {
        let of_pinned = issuer.is_empty() && self.has_pinned_issuers();
        let reading = self.name_sources.source_of(kind);
        let mut parts: SmallVec<[&[u8]; 5]> = SmallVec::new();
        parts.extend([&self.domain, issuer.as_bytes(), name.as_bytes()]);
        parts.extend(reading.map(str::as_bytes));
        parts.extend(of_pinned.then_some(&b"\0pinned"[..]));
        Id::of(kind, &parts)
    }

    /// Whether names under no issuer are those of the pinned ones.
    fn has_pinned_issuers(&self) -> bool {
        !(self.settings.issuers.is_empty() || self.is_legacy)
    }

    /// The digest by which an operator revokes a token by its id, whatever its `iss` is. A logout never does: other issuers
    /// may give the same id to another token.
    pub(in crate::request) fn digest_for_any_issuer(&self, id: &str) -> Id {
        let domain = self.domain.as_slice();
        let reading = self
            .name_sources
            .source_of(IdKind::Token)
            .map(str::as_bytes);
        match reading {
            None => Id::of(IdKind::Token, &[domain, id.as_bytes()]),
            Some(reading) => Id::of(IdKind::Token, &[domain, id.as_bytes(), reading, b"\0any"]),
        }
    }

    /// Everything by which the tokens are refused that an operator names.
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

    /// The digest of a customer whose population is not named: by an operator, or by a version that told none apart.
    fn digest_without_population(&self, issuer: &str, name: &str) -> Id {
        let parts = [&self.domain, issuer.as_bytes(), name.as_bytes()];
        Id::of(IdKind::Subject, &parts)
    }

    /// Whether a token that says this `iss` could be good.
    pub(in crate::request) fn may_be_of(&self, issuer: &str) -> bool {
        let issuers = &self.settings.issuers;
        issuers.is_empty() || issuers.iter().any(|one| one == issuer)
    }

    /// Standards 57: present, a string, and one of ours letter by letter. Unpinned, it is whatever it says.
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

/// An issuer under which customers and sessions may be known, and none.
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
        match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm) {
            Ok(true) => return Ok(()),
            Ok(false) | Err(_) => flaw = Flaw::Signature,
        }
    }
    Err(flaw)
}
