//! From the text of a credential to a token: verified, or opaque, or refused.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use regex::Regex;
use serde_json::Value;
use smallvec::SmallVec;

use super::claims::{Claim, Claims, Found};
use super::compact::{decode_object, has_jwt_shape, key_id, refuse_other_types, signed_part};
use super::credential::{is_no_text, token_in};
use super::flaw::Flaw;
use super::inquiry::Inquiry;
use super::json::NO_CHARACTER;
use super::key_ring::KeyRing;
use super::key_source::{JwksSource, KeySource};
use super::keys::{self, Keys};
use super::token::{Token, Verified};
use crate::clock::UnixTime;
use crate::revocation::{Cause, Group, Id, Identity, Kind as Digest, Window};

/// What a credential is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A JWT: anything else is refused.
    Jwt,
    /// Whatever the shop makes of it: known by its digest only.
    Opaque,
    /// A JWT if it has the shape of one, otherwise opaque.
    #[default]
    Auto,
}

/// How the tokens of a shop are verified and what their claims are called.
pub struct Verifier {
    settings: TokenSettings,
    /// Where its keys are fetched; `None`: they were given.
    source: Option<JwksSource>,
    ring: Arc<KeyRing>,
}

/// What the operator says of a shop's tokens.
#[derive(Debug)]
pub struct TokenSettings {
    /// Which tokens mean the same thing: the shop's name, or a name that several shops share.
    pub realm: String,
    /// What a bearer is taken for.
    pub kind: Kind,
    /// The algorithms that may sign; never taken from the token.
    pub algorithms: Vec<Algorithm>,
    /// Who may have issued a token; empty: whoever has the key.
    pub issuers: Vec<String>,
    /// For whom it must be; empty: not asked.
    pub audiences: Vec<String>,
    /// Where the claims stand.
    pub claims: Claims,
    /// How far clocks may differ when a token expires or begins.
    pub leeway: Duration,
    /// How long after its issue a token can still be exchanged for a new one.
    pub refresh_window: Duration,
    /// The longest life of a token that does not say when it expires; `None`: for ever.
    pub max_lifetime: Option<Duration>,
    /// What the shop's opaque bearers look like; `None`: anything. Others pass, but can't log out. A group called
    /// `token` is the part that they are known by.
    pub opaque_pattern: Option<Regex>,
    /// A JWT that can't be verified is forwarded as if it were opaque.
    pub forward_unverifiable: bool,
    /// What the shop is asked about tokens that say nothing themselves; `None`: they are known by their digests only.
    pub inquiry: Option<Inquiry>,
}

/// The longest token that is read. Four times what cookies can carry; shops refuse such headers anyway.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// How far in the future a token may have been issued: any wrong clock, but not another year.
const FUTURE_MAX: Duration = Duration::from_hours(24);

/// From here on a time is hardly in seconds: it would be in the year 5138. As milliseconds it is 1973.
const MILLISECONDS_MIN: u64 = 100_000_000_000;

impl TokenSettings {
    /// What an opaque token is known by: all of it, or the part by which the shop finds it whatever stands around.
    fn opaque_name<'t>(&self, text: &'t str) -> &'t str {
        let pattern = self.opaque_pattern.as_ref();
        let found = pattern.and_then(|pattern| token_in(pattern, text));
        found.unwrap_or(text)
    }

    /// Whether both make the same of every token.
    fn is_same(&self, other: &Self) -> bool {
        let Self {
            realm,
            kind,
            algorithms,
            issuers,
            audiences,
            claims,
            leeway,
            refresh_window,
            max_lifetime,
            opaque_pattern,
            forward_unverifiable,
            inquiry: _, // it is about those that are not verified here
        } = self;
        let pattern = |pattern: &Option<Regex>| pattern.as_ref().map(Regex::to_string);
        *realm == other.realm
            && *kind == other.kind
            && *algorithms == other.algorithms
            && *issuers == other.issuers
            && *audiences == other.audiences
            && *claims == other.claims
            && *leeway == other.leeway
            && *refresh_window == other.refresh_window
            && *max_lifetime == other.max_lifetime
            && pattern(opaque_pattern) == pattern(&other.opaque_pattern)
            && *forward_unverifiable == other.forward_unverifiable
    }
}

impl Verifier {
    /// Verifies with the keys of this source. Those that are fetched are yet to come.
    pub fn new(settings: TokenSettings, source: KeySource) -> Self {
        let (source, keys) = match source {
            KeySource::Given(keys) => (None, keys),
            KeySource::Fetched(source) => (Some(source), Keys::default()),
        };
        Self {
            settings,
            source,
            ring: Arc::new(KeyRing::new(keys)),
        }
    }

    /// Takes over from the verifier that was there before a reload: keys that were fetched from the same place,
    /// and what the keys have verified if nothing has changed about that. Otherwise all is as if new.
    pub fn inherit(&mut self, old: &Self) {
        let is_same_source = match (&self.source, &old.source) {
            (None, None) => self
                .ring
                .held()
                .keys
                .is_same_document(&old.ring.held().keys),
            (Some(new), Some(old)) => new.is_same_set(old),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !is_same_source {
            return;
        }
        if self.settings.is_same(&old.settings) {
            self.ring = Arc::clone(&old.ring);
        } else if self.source.is_some() && self.settings.algorithms == old.settings.algorithms {
            self.ring = Arc::new(old.ring.without_memory());
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

    /// Its keys, for whoever fetches them.
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

    /// Reads a credential. Whether it is revoked, expired or not yet good is not asked here.
    pub fn read(&self, kind: Kind, text: &str, now: UnixTime) -> Result<Token, Flaw> {
        let held = self.ring.held();
        if kind != Kind::Opaque
            && let Some(known) = held.verified.get(text)
        {
            return Ok(Token::Verified(known));
        }
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::TooLong);
        }
        let is_jwt = match kind {
            Kind::Jwt => true,
            Kind::Opaque => false,
            Kind::Auto => has_jwt_shape(text),
        };
        if !is_jwt {
            return Ok(self.opaque(text, self.settings.opaque_name(text)));
        }
        match self.verify(&held.keys, text, now) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                held.verified.insert(text.into(), Arc::clone(&verified));
                Ok(Token::Verified(verified))
            }
            Err(flaw @ (Flaw::NoKeys | Flaw::KeyPending)) => Err(flaw), // it may be dead
            Err(_) if self.settings.forward_unverifiable => {
                Ok(self.opaque(text, self.settings.opaque_name(text)))
            }
            Err(Flaw::Malformed) if !has_jwt_shape(text) => Err(Flaw::NotJwt),
            Err(flaw) => Err(flaw),
        }
    }

    /// A logout stores what it revokes: an opaque bearer must look like one of the shop's.
    pub fn refuse_implausible(&self, token: &Token, text: &str) -> Result<(), Flaw> {
        let pattern = self.settings.opaque_pattern.as_ref();
        let is_plausible = || match pattern {
            Some(pattern) => pattern.is_match(text),
            None => !is_no_text(text),
        };
        match token {
            Token::Opaque(_) if !is_plausible() => Err(Flaw::NotJwt),
            Token::Opaque(_) | Token::Verified(_) | Token::Confirmed(_) | Token::Stranger(_) => {
                Ok(())
            }
        }
    }

    /// A token that no key here can judge ([`Flaw::is_undecided`]), as it is known at a logout: by its digest alone.
    /// A key that comes later finds it under the same digest.
    pub fn by_digest(&self, text: &str) -> Token {
        self.opaque(text, text)
    }

    /// A token of which nothing is known: it can be named by itself or a part of it, not by its customer.
    pub(super) fn opaque(&self, text: &str, name: &str) -> Token {
        // Also under what it was called before the operator said by which part it is known.
        let former = (name != text).then(|| Group {
            id: self.fingerprint(signed_part(text)),
            cause: Cause::Token,
        });
        Token::Opaque(Identity {
            id: self.fingerprint(signed_part(name)),
            window: Window::UNDATED,
            groups: former.into_iter().collect(),
            issued_at: None,
        })
    }

    fn fingerprint(&self, text: &str) -> Id {
        Id::of(
            Digest::Fingerprint,
            &[self.settings.realm.as_bytes(), text.as_bytes()],
        )
    }

    fn verify(&self, keys: &Keys, text: &str, now: UnixTime) -> Result<Verified, Flaw> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let header = decode_object(header)?;
        let algorithm = self.accepted_algorithm(&header)?;
        let key_id = key_id(&header)?;
        refuse_other_types(&header)?;
        if self.source.is_some() && keys.count() == 0 {
            return Err(Flaw::NoKeys);
        }
        if let Err(flaw) = verify_signature(keys, signed, signature, algorithm, key_id) {
            let may_come = key_id.is_some_and(|id| self.may_come(id, keys, payload, now));
            return Err(if may_come { Flaw::KeyPending } else { flaw });
        }
        let payload = decode_object(payload)?; // only now: what follows may believe it
        self.verified(signed, &payload, now)
    }

    /// Standards 30, 31, 35, 39: the algorithm is one of the pinned, and nothing asks for more.
    fn accepted_algorithm(&self, header: &Value) -> Result<Algorithm, Flaw> {
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
                return Err(Flaw::Claim(Claim::IssuedAt, Found::Milliseconds));
            }
            return Err(Flaw::IssuedInFuture);
        }
        let fingerprint = self.fingerprint(signed);
        let named = said.id.as_ref();
        let named = named.map(|id| self.digest(Digest::Token, issuer, id));
        let former = self.settings.claims.former_customer(payload);
        let subjects = [said.subject.as_deref(), former.as_deref()];
        let mut groups = self.groups(issuer, said.session.as_deref(), &subjects);
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
        })
    }

    /// Everything a cutoff could name this token by. Session and customer are looked for under the issuer
    /// and under none, so that pinning the issuers later forgets no logout; the customer also under the name of before
    /// populations were told apart.
    fn groups(
        &self,
        issuer: &str,
        session: Option<&str>,
        subjects: &[Option<&str>],
    ) -> SmallVec<[Group; 6]> {
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
            id: Id::of_realm(&self.settings.realm),
            cause: Cause::Realm,
        });
        groups
    }

    /// By what a token can be refused that the shop has confirmed.
    pub(super) fn confirmed(&self, id: Id, subject: Option<&str>) -> Identity {
        Identity {
            id,
            window: Window::UNDATED,
            groups: self.groups(self.only_issuer(), None, &[subject]),
            issued_at: None,
        }
    }

    /// A customer, as the shop names them without any issuer.
    pub(super) fn customer(&self, subject: &str) -> Id {
        self.digest(Digest::Subject, "", subject)
    }

    fn only_issuer(&self) -> &str {
        match self.settings.issuers.as_slice() {
            [only] => only.as_str(),
            [] | [_, ..] => "",
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

    /// The digest under which a customer, session or token is known in this realm.
    fn digest(&self, kind: Digest, issuer: &str, name: &str) -> Id {
        let realm = self.settings.realm.as_bytes();
        Id::of(kind, &[realm, issuer.as_bytes(), name.as_bytes()])
    }

    /// What the operator names by hand: a token's id claim, a customer or a session.
    pub fn named_by_hand(&self, kind: Digest, issuer: Option<&str>, name: &str) -> Id {
        self.digest(kind, issuer.unwrap_or(self.only_issuer()), name)
    }

    /// Standards 57: present, a string, and one of ours letter by letter. Unpinned, it is whatever it says.
    fn accepted_issuer<'p>(&self, payload: &'p Value) -> Result<&'p str, Flaw> {
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

#[cfg(test)]
mod tests {
    use super::super::claims::{IssuedAt, TimeClaim};
    use super::super::json::Pointer;
    use super::super::key_source::JwksUrl;
    use super::*;

    const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for HS256";

    fn settings(realm: &str, algorithm: Algorithm) -> TokenSettings {
        let pointer = |text| Pointer::parse(text).unwrap();
        let time = |text| TimeClaim {
            pointer: pointer(text),
            unit: None,
        };
        TokenSettings {
            realm: realm.to_owned(),
            kind: Kind::Auto,
            algorithms: vec![algorithm],
            issuers: Vec::new(),
            audiences: Vec::new(),
            claims: Claims {
                id: pointer("/jti"),
                subject: vec![pointer("/sub")],
                session: pointer("/sid"),
                expires_at: time("/exp"),
                issued_at: IssuedAt::Claim(time("/iat")),
            },
            leeway: Duration::ZERO,
            refresh_window: Duration::ZERO,
            max_lifetime: None,
            opaque_pattern: None,
            forward_unverifiable: false,
            inquiry: None,
        }
    }

    fn given(realm: &str, secret: &[u8]) -> Verifier {
        let keys = Keys::from_secret(secret, &[Algorithm::HS256]).unwrap();
        let settings = settings(realm, Algorithm::HS256);
        Verifier::new(settings, KeySource::Given(keys))
    }

    fn fetched(realm: &str, algorithm: Algorithm, url: &str, refresh: Duration) -> Verifier {
        let source = JwksSource {
            url: JwksUrl::parse(url).unwrap(),
            authorities: Vec::new(),
            refresh,
            cooldown: Duration::from_secs(30),
        };
        Verifier::new(settings(realm, algorithm), KeySource::Fetched(source))
    }

    /// The same with the key of RFC 7517 appendix A.1.
    fn with_keys(verifier: Verifier) -> Verifier {
        let text = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
            "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
        let (keys, _) = Keys::from_fetched(text, &[Algorithm::ES256]).unwrap();
        verifier.ring.begin_fetch();
        verifier.ring.take(keys, UnixTime::EPOCH);
        verifier
    }

    #[test]
    fn what_no_key_could_judge_is_found_by_its_digest_once_one_can_attacks_s0() {
        let now = UnixTime::from_seconds(1_790_000_000);
        for claims in [r#"{"sub":3,"jti":"a-1","exp":1790000600}"#, r#"{"sub":3}"#] {
            let text = signed(r#"{"alg":"HS256"}"#, claims);
            let early = with_keys(fetched("main", Algorithm::ES256, URL, Duration::MAX));
            let flaw = early.read(Kind::Auto, &text, now).unwrap_err();
            assert_eq!((flaw, flaw.is_undecided()), (Flaw::UnpinnedAlgorithm, true));
            let revoked = early.by_digest(&text).identity().id;
            let late = given("main", SECRET).read(Kind::Auto, &text, now).unwrap();
            let identity = late.identity();
            let is_found = |group: &Group| group.id == revoked && group.cause == Cause::Token;
            assert!(identity.id == revoked || identity.groups.iter().any(is_found));
        }
        let proved_bad = [Flaw::Signature, Flaw::Algorithm, Flaw::Type, Flaw::Issuer];
        assert!(!proved_bad.iter().any(|flaw| flaw.is_undecided()));
        assert!(!Flaw::NoKeys.is_undecided(), "its keys may come");
    }

    const URL: &str = "https://login.example.com/jwks.json";

    /// A token with these two parts, signed with [`SECRET`].
    fn signed(header: &str, claims: &str) -> String {
        use base64::Engine;
        let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let text = format!("{}.{}", b64(header), b64(claims));
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
        let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256);
        format!("{text}.{}", signature.unwrap())
    }

    /// Whether the new one has the old one's memory, and how many keys it has.
    fn inherited(mut new: Verifier, old: &Verifier) -> (bool, usize) {
        new.inherit(old);
        (Arc::ptr_eq(&new.ring, &old.ring), new.key_count())
    }

    #[test]
    fn a_reload_keeps_the_memory_of_a_file_only_if_nothing_has_changed_trap_17() {
        let old = given("main", SECRET);
        assert_eq!(inherited(given("main", SECRET), &old), (true, 1));
        assert_eq!(inherited(given("other", SECRET), &old), (false, 1));
        let other = given("main", b"another secret of more than thirty-two bytes");
        assert_eq!(inherited(other, &old), (false, 1));
    }

    #[test]
    fn a_reload_keeps_fetched_keys_of_the_same_place() {
        let es = Algorithm::ES256;
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        let old = with_keys(fetched("main", es, URL, minute));
        assert!(old.has_keys() && old.source().is_some());
        assert_eq!(inherited(fetched("main", es, URL, hour), &old), (true, 1));
        let renamed = fetched("other", es, URL, minute);
        assert_eq!(inherited(renamed, &old), (false, 1), "without their memory");
        let elsewhere = fetched("main", es, "https://login.example.com/other.json", minute);
        assert_eq!(inherited(elsewhere, &old), (false, 0));
        let for_others = fetched("main", Algorithm::RS256, URL, minute);
        assert_eq!(inherited(for_others, &old), (false, 0));
        let mut by_other_authority = fetched("main", es, URL, minute);
        let source = by_other_authority.source.as_mut().unwrap();
        source.authorities = vec![vec![1]];
        assert_eq!(inherited(by_other_authority, &old), (false, 0));
        assert_eq!(inherited(given("main", SECRET), &old), (false, 1));
        assert_eq!(
            inherited(fetched("main", es, URL, minute), &given("main", SECRET)),
            (false, 0)
        );
    }

    #[test]
    fn an_unknown_key_name_asks_for_keys_and_a_known_one_does_not() {
        use base64::Engine;
        let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = |kid: &str, alg: &str| {
            let header = b64(&format!(r#"{{"alg":"{alg}",{kid}"typ":"JWT"}}"#));
            format!("{header}.{}.{}", b64("{}"), b64(&"x".repeat(64)))
        };
        let now = UnixTime::EPOCH;
        let asks = |verifier: &Verifier, kid: &str, alg: &str| {
            let flaw = verifier.read(Kind::Jwt, &token(kid, alg), now).err();
            (flaw, verifier.ring.wants_keys(now))
        };
        let url = "https://login.example.com/";
        let empty = fetched("main", Algorithm::ES256, url, Duration::from_mins(1));
        let (named, unnamed, known) = (r#""kid":"2","#, "", r#""kid":"1","#);
        assert_eq!(asks(&empty, named, "ES256"), (Some(Flaw::NoKeys), false));
        assert_eq!(asks(&empty, named, "none"), (Some(Flaw::Algorithm), false));
        let full = with_keys(empty);
        assert_eq!(
            asks(&full, unnamed, "ES256"),
            (Some(Flaw::Signature), false)
        );
        assert_eq!(asks(&full, known, "ES256"), (Some(Flaw::Signature), false));
        assert_eq!(
            asks(&full, named, "HS256"),
            (Some(Flaw::UnpinnedAlgorithm), false)
        );
        assert_eq!(asks(&full, named, "ES256"), (Some(Flaw::KeyPending), true));
        let full = with_keys(full);
        assert_eq!(asks(&full, named, "ES256"), (Some(Flaw::UnknownKey), false));
        let given = given("main", SECRET);
        assert_eq!(asks(&given, named, "HS256"), (Some(Flaw::Signature), false));
    }
}
