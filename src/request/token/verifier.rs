//! From the text of a credential to a token: verified, or opaque, or refused.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use smallvec::SmallVec;

use super::compact::{Compact, decode_object, has_jwt_shape, key_id};
use super::flaw::Flaw;
use super::issuer::Issuer;
use super::keys::{Acceptance, FirstSuccess};
use super::known_token::{Token, Verified};
use super::settings::{TokenKind, TokenSettings};
use crate::clock::UnixTime;
use crate::request::credential::{is_no_text, trimmed};
use crate::request::introspection::IntrospectionResponse;
use crate::request::meaning::{FormerMeanings, former_meanings};
use crate::revocation::{Cause, Group, Id, IdKind, Identity};

/// Verifies the tokens of a shop.
pub struct Verifier {
    /// The issuers; at least one. No token fits two of them.
    issuers: Vec<Issuer>,
    /// The position of the issuer of opaque tokens.
    main: usize,
    /// The names of tokens under former configurations.
    formers: ArcSwap<FormerMeanings>,
    /// Whether a token was within its time yet, where that is judged.
    timely: Arc<FirstSuccess>,
}

/// A success that every shop sees sooner or later.
pub struct Awaited {
    /// Which.
    pub success: AwaitedSuccess,
    /// The number of the issuer, if the shop has several.
    pub issuer: Option<usize>,
    /// Whether tokens without it are forwarded all the same.
    pub is_forwarded: bool,
    /// Whether it was seen yet.
    pub record: Arc<FirstSuccess>,
}

/// Which success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwaitedSuccess {
    /// A token verified, since the start or since the keys changed.
    Verified,
    /// A verified token was neither expired nor early, since the start.
    Timely,
}

/// The longest token that is parsed: four times what a cookie can carry. Shops refuse longer headers anyway.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

impl Verifier {
    /// Verifies tokens of these issuers. Opaque tokens belong to the first whose tokens need not be JWTs.
    pub fn new(first: Issuer, others: Vec<Issuer>) -> Self {
        let mut issuers = vec![first];
        issuers.extend(others);
        let takes_opaque = |issuer: &Issuer| issuer.settings().kind != TokenKind::Jwt;
        let main = issuers.iter().position(takes_opaque).unwrap_or_default();
        Self {
            issuers,
            main,
            formers: ArcSwap::default(),
            timely: Arc::default(),
        }
    }

    /// The names of tokens under former configurations.
    pub(in crate::request) fn formers(&self) -> Guard<Arc<FormerMeanings>> {
        self.formers.load()
    }

    /// Looks tokens up under these former meanings from now on.
    pub(in crate::request) fn honour(&self, formers: FormerMeanings) {
        let digest = formers.digest();
        self.formers.store(Arc::new(formers));
        for issuer in &self.issuers {
            issuer.ring().honour(digest);
        }
    }

    /// Ties the token domain of this name to these hosts: see [`Issuer::own_domain`].
    pub(in crate::request) fn own_domain(&mut self, domain: &str, hosts: &[String]) {
        for issuer in &mut self.issuers {
            if issuer.settings().token_domain == domain {
                issuer.own_domain(hosts.to_vec());
            }
        }
    }

    /// Which of the issuers opaque tokens belong to.
    pub(in crate::request) fn main_at(&self) -> usize {
        self.main
    }

    /// Takes over keys and cached tokens from the verifier before a reload, where they are still valid.
    pub fn inherit(&mut self, old: &Self) {
        self.timely = Arc::clone(&old.timely);
        for issuer in &mut self.issuers {
            issuer.inherit(&old.issuers);
        }
    }

    /// The issuers of the tokens.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn main(&self) -> &Issuer {
        &self.issuers[self.main]
    }

    /// The settings for opaque tokens. A verified token carries its own.
    pub fn settings(&self) -> &TokenSettings {
        self.main().settings()
    }

    /// The kind of credentials whose place has none.
    pub fn kind(&self) -> TokenKind {
        let mut kinds = self.issuers.iter().map(|issuer| issuer.settings().kind);
        let first = kinds.next().unwrap_or_default();
        if kinds.all(|kind| kind == first) {
            first
        } else {
            TokenKind::Auto
        }
    }

    /// Whether there is a key for any JWT.
    pub fn can_verify(&self) -> bool {
        let mut issuers = self.issuers.iter();
        issuers.any(|issuer| !issuer.settings().algorithms.is_empty())
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.issuers.iter().map(Issuer::key_count).sum()
    }

    /// Whether the keys of all issuers are there. Keys that are fetched may still be missing.
    pub fn has_keys(&self) -> bool {
        self.issuers.iter().all(Issuer::has_keys)
    }

    /// How long a token that is issued now could be accepted, plus the margin; `None`: for ever.
    pub fn longest_life(&self) -> Option<Duration> {
        let mut lives = self
            .issuers
            .iter()
            .map(|issuer| issuer.settings().longest_life());
        lives.try_fold(Duration::ZERO, |longest, life| Some(longest.max(life?)))
    }

    /// The token in a text: verified, opaque, or at fault. Revocation and times are not checked here.
    pub fn token_from_text(
        &self,
        kind: TokenKind,
        text: &str,
        now: UnixTime,
    ) -> Result<Token, Flaw> {
        self.verify_text(kind, text, now, |_, _| {})
    }

    /// The same of a text that a request presents as its credential. Until the first such token verifies, failures are counted.
    pub(in crate::request) fn token_of_credential(
        &self,
        kind: TokenKind,
        text: &str,
        now: UnixTime,
    ) -> Result<Token, Flaw> {
        self.verify_text(kind, text, now, |issuer, flaw| {
            for issuer in issuer.map_or(self.issuers.as_slice(), std::slice::from_ref) {
                let held = issuer.ring().held();
                held.first_success.note_failure(flaw.name(), flaw.weight());
            }
        })
    }

    /// The shop said of an opaque token that it is active; else why not.
    pub(in crate::request) fn note_introspected(&self, acceptance: Acceptance) {
        self.main().ring().held().first_success.note(acceptance);
    }

    /// A verified token was within its time, where that is judged; else why not.
    pub(in crate::request) fn note_timely(&self, acceptance: Acceptance) {
        self.timely.note(acceptance);
    }

    /// What a shop whose tokens are accepted has seen at least once.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited> {
        let is_one_of_several = self.issuers.len() > 1;
        let verified = self.issuers.iter().enumerate();
        let verified = verified.map(move |(place, issuer)| Awaited {
            success: AwaitedSuccess::Verified,
            issuer: is_one_of_several.then_some(place + 1),
            is_forwarded: issuer.settings().forward_unverifiable,
            record: issuer.ring().first_success(),
        });
        verified.chain([Awaited {
            success: AwaitedSuccess::Timely,
            issuer: None,
            is_forwarded: false,
            record: Arc::clone(&self.timely),
        }])
    }

    /// Calls `failed` where a token does not verify, with the issuer that it claims, if that is known.
    fn verify_text<'v>(
        &'v self,
        kind: TokenKind,
        text: &str,
        now: UnixTime,
        failed: impl FnOnce(Option<&'v Issuer>, Flaw),
    ) -> Result<Token, Flaw> {
        if kind != TokenKind::Opaque
            && let Some(known) = self.remembered(text)
        {
            return Ok(Token::Verified(known));
        }
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::TooLong);
        }
        let is_jwt = match kind {
            TokenKind::Jwt => true,
            TokenKind::Opaque => false,
            TokenKind::Auto => has_jwt_shape(text),
        };
        if !is_jwt {
            return Ok(self.opaque(text, self.settings().token_key(text)));
        }
        let read = Compact::parse(text);
        let issuer = read.as_ref().map_err(|flaw| *flaw);
        let issuer = issuer.and_then(|token| self.issuer_of(token));
        let settings = issuer.map_or(self.settings(), Issuer::settings);
        let verified = read.and_then(|token| self.verify(issuer?, text, &token, now));
        if let Err(flaw) = verified.as_ref().map_err(|flaw| *flaw)
            && flaw != Flaw::KeyPending
        {
            failed(issuer.ok(), flaw); // a missing key may be fetched, then the token is judged again
        }
        match verified {
            Ok(verified) => Ok(Token::Verified(verified)),
            Err(flaw @ (Flaw::NoKeys | Flaw::KeyPending)) => Err(flaw), // it may be revoked
            Err(_) if settings.forward_unverifiable => Ok(self.unverified(text)),
            Err(Flaw::Malformed) if !has_jwt_shape(text) => Err(Flaw::NotJwt),
            Err(flaw) => Err(flaw),
        }
    }

    /// A token that was verified before, with keys that are still in use.
    fn remembered(&self, text: &str) -> Option<Arc<Verified>> {
        let mut issuers = self.issuers.iter();
        issuers.find_map(|issuer| issuer.ring().held().verified.get(text))
    }

    /// The issuer that an unverified token claims. The keys of this issuer then verify it or not.
    fn issuer_of(&self, token: &Compact<'_>) -> Result<&Issuer, Flaw> {
        if let [only] = self.issuers.as_slice() {
            return Ok(only);
        }
        let key_id = key_id(&token.header)?;
        let mut flaw = Flaw::Algorithm;
        let mut fitting = Vec::with_capacity(self.issuers.len());
        for issuer in &self.issuers {
            let algorithm = issuer.accepted_algorithm(&token.header);
            let fits = algorithm.and_then(|_| issuer.check_key_id(key_id));
            match fits {
                Ok(()) => fitting.push(issuer),
                Err(why) if flaw != Flaw::UnknownKey => flaw = why,
                Err(_) => {}
            }
        }
        if fitting.is_empty() {
            return Err(flaw);
        }
        let payload = decode_object(token.payload)?;
        let mut fitting = fitting.into_iter();
        let issuer = fitting.find(|issuer| issuer.accepted_issuer(&payload).is_ok());
        issuer.ok_or(Flaw::Issuer)
    }

    /// Whether an unverified JWT claims an issuer and an algorithm of this shop, whose keys may not be fetched yet.
    pub(in crate::request) fn may_be_ours(&self, text: &str) -> bool {
        let Ok(token) = Compact::parse(text) else {
            return false;
        };
        let Ok(payload) = decode_object(token.payload) else {
            return false;
        };
        self.issuers.iter().any(|issuer| {
            issuer.accepted_algorithm(&token.header).is_ok()
                && issuer.accepted_issuer(&payload).is_ok()
        })
    }

    /// Verifies a token with the keys of its issuer, and caches it beside them.
    fn verify(
        &self,
        issuer: &Issuer,
        text: &str,
        token: &Compact<'_>,
        now: UnixTime,
    ) -> Result<Arc<Verified>, Flaw> {
        let held = issuer.ring().held();
        let formers = self.formers.load(); // after what is held: see `honour`
        let mut verified = issuer.verify(&held.keys, token, now)?;
        if issuer.settings().token_domain != self.settings().token_domain {
            // Before its key was known, it could be revoked as an opaque token only.
            verified.identity.groups.push(Group {
                id: self.main().fingerprint(token.signed),
                cause: Cause::Token,
            });
        }
        if !formers.is_empty() {
            let former = formers.identities_of_verified(issuer, token, text, &verified.identity);
            verified.identity.former = former.into();
        }
        held.first_success.note_success();
        let verified = Arc::new(verified);
        held.remember(text, &verified, formers.digest());
        Ok(verified)
    }

    /// Refuses to store an opaque bearer that does not look like one of the shop's.
    pub fn refuse_implausible(&self, token: &Token, text: &str) -> Result<(), Flaw> {
        let pattern = self.settings().opaque_pattern.as_ref();
        let is_plausible = || match pattern {
            Some(pattern) => pattern.is_match(text),
            None => !is_no_text(text),
        };
        match token {
            Token::Opaque(_) if !is_plausible() => Err(Flaw::NotJwt),
            Token::Opaque(_) | Token::Verified(_) | Token::Confirmed(_) | Token::Inactive(_) => {
                Ok(())
            }
        }
    }

    /// A token that no known key can verify ([`Flaw::is_undecided`]), named by its digest alone. Once its key is known, the
    /// token is looked up under the same digest.
    pub fn by_digest(&self, text: &str) -> Token {
        self.opaque(text, text)
    }

    /// An opaque token: named by its text or a part of it, not by its customer.
    ///
    /// White space around it does not count: frameworks strip it, and databases do not compare it.
    pub(in crate::request) fn opaque(&self, text: &str, name: &str) -> Token {
        Token::Opaque(Arc::new(self.opaque_identity(text, name)))
    }

    /// A JWT that no key verifies and that is forwarded to the shop. It may have been valid, and revoked, before its key or the
    /// configuration changed, so it is looked up under the names in its claims, too. Those can only make it a revoked token.
    fn unverified(&self, text: &str) -> Token {
        let mut identity = self.opaque_identity(text, self.settings().token_key(text));
        if let Some((token, payload)) = former_meanings::parse_unverified(text) {
            let claimed = self.issuers.iter();
            let claimed = claimed.filter_map(|issuer| issuer.claimed_identity(&token, &payload));
            identity.former = identity.former.into_iter().chain(claimed).collect();
        }
        Token::Opaque(Arc::new(identity))
    }

    fn opaque_identity(&self, text: &str, name: &str) -> Identity {
        let formers = self.formers.load();
        let [id, whole] = self.digests(text, name);
        let others = [whole].into_iter().filter(|whole| *whole != id);
        let others = others.chain(formers.digests(text, name));
        let groups = others.map(|id| Group {
            id,
            cause: Cause::Token,
        });
        Identity {
            groups: groups.collect(),
            former: formers.identities_of_opaque(text).into(),
            ..Identity::undated(id)
        }
    }

    /// The digests by which an opaque token can be revoked.
    pub(in crate::request) fn digests_of(&self, text: &str, name: &str) -> SmallVec<[Id; 2]> {
        let formers = self.formers.load();
        let own = self.digests(text, name).into_iter();
        own.chain(formers.digests(text, name)).collect()
    }

    /// The digest of its name, and that of its whole text, which was its name before a pattern was configured.
    fn digests(&self, text: &str, name: &str) -> [Id; 2] {
        let main = self.main();
        let id = main.opaque_digest(trimmed(name));
        let is_whole = trimmed(name) == text;
        [
            id,
            if is_whole {
                id
            } else {
                main.opaque_digest(text)
            },
        ]
    }

    /// The identity of a token about which the shop said this. `names`: its identity as an opaque token.
    pub(in crate::request) fn confirmed(
        &self,
        names: &Identity,
        said: &IntrospectionResponse,
    ) -> Identity {
        let issuer = self.settings().only_issuer();
        let customer = self.main().groups(issuer, None, said.subject.as_deref());
        let formers = self.formers.load().identities_of_confirmed(names.id, said);
        let former = names.former.iter().cloned().chain(formers);
        Identity {
            groups: names.groups.iter().copied().chain(customer).collect(),
            issued_at: said.issued_at,
            former: former.collect(),
            ..Identity::undated(names.id)
        }
    }

    /// The digest of a customer that the shop names in an answer.
    pub(in crate::request) fn customer(&self, subject: &str) -> Id {
        self.main().digest(IdKind::Subject, "", subject)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::Algorithm;

    use super::super::key_source::{JwksSource, KeySource};
    use super::super::keys::Keys;
    use super::super::settings::settings_for_tests as settings;
    use super::*;
    use crate::request::FetchUrl;
    use crate::request::payload::Pointer;

    const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for HS256";

    fn given(realm: &str, secret: &[u8]) -> Verifier {
        let keys = Keys::from_secret(secret, &[Algorithm::HS256]).unwrap();
        let settings = settings(realm, Algorithm::HS256);
        Verifier::new(Issuer::new(settings, KeySource::Given(keys)), Vec::new())
    }

    fn source(url: &str, authorities: Vec<Vec<u8>>, refresh: Duration) -> KeySource {
        KeySource::Fetched(JwksSource {
            url: FetchUrl::parse(url).unwrap(),
            authorities,
            refresh,
            cooldown: Duration::from_secs(30),
        })
    }

    fn fetched(realm: &str, algorithm: Algorithm, url: &str, refresh: Duration) -> Verifier {
        let source = source(url, Vec::new(), refresh);
        let issuer = Issuer::new(settings(realm, algorithm), source);
        Verifier::new(issuer, Vec::new())
    }

    /// The same with the key of RFC 7517 appendix A.1.
    fn with_keys(verifier: Verifier) -> Verifier {
        let text = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
            "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
        let (keys, _) = Keys::from_fetched(text, &[Algorithm::ES256]).unwrap();
        verifier.issuers[0].ring().begin_fetch();
        verifier.issuers[0]
            .ring()
            .replace_keys(keys, UnixTime::EPOCH);
        verifier
    }

    #[test]
    fn what_no_key_could_judge_is_found_by_its_digest_once_one_can_attacks_s0() {
        let now = UnixTime::from_seconds(1_790_000_000);
        for claims in [r#"{"sub":3,"jti":"a-1","exp":1790000600}"#, r#"{"sub":3}"#] {
            let text = signed(r#"{"alg":"HS256"}"#, claims);
            let early = with_keys(fetched("main", Algorithm::ES256, URL, Duration::MAX));
            let flaw = early
                .token_from_text(TokenKind::Auto, &text, now)
                .unwrap_err();
            assert_eq!((flaw, flaw.is_undecided()), (Flaw::UnpinnedAlgorithm, true));
            let revoked = early.by_digest(&text).identity().id;
            let late = given("main", SECRET)
                .token_from_text(TokenKind::Auto, &text, now)
                .unwrap();
            let identity = late.identity();
            let is_found = |group: &Group| group.id == revoked && group.cause == Cause::Token;
            assert!(identity.id == revoked || identity.groups.iter().any(is_found));
        }
        let proved_bad = [Flaw::Signature, Flaw::Algorithm, Flaw::Type, Flaw::Issuer];
        assert!(!proved_bad.iter().any(|flaw| flaw.is_undecided()));
        assert!(!Flaw::NoKeys.is_undecided(), "its keys may come");
    }

    #[test]
    fn a_token_without_the_claims_of_only_with_is_no_customers_to_revoke_field_f8() {
        let mut settings = settings("main", Algorithm::HS256);
        settings.revocable_with = vec![Pointer::parse("/sub").unwrap()];
        let keys = Keys::from_secret(SECRET, &[Algorithm::HS256]).unwrap();
        let issuer = Issuer::new(settings, KeySource::Given(keys));
        let verifier = Verifier::new(issuer, Vec::new());
        for (claims, is_revocable) in [
            (r#"{"sub":3}"#, true),
            (r#"{"sub":0}"#, true),
            (r#"{"sub":""}"#, false),
            (r#"{"sub":null}"#, false),
            (r#"{"role":"anonymous"}"#, false),
        ] {
            let text = signed(r#"{"alg":"HS256"}"#, claims);
            let Ok(Token::Verified(token)) =
                verifier.token_from_text(TokenKind::Auto, &text, UnixTime::EPOCH)
            else {
                panic!("{claims}");
            };
            assert_eq!(token.is_revocable, is_revocable, "{claims}");
        }
    }

    #[test]
    fn a_token_is_judged_by_the_issuer_that_it_claims_to_be_of_field_f8() {
        const HEADER: &str = r#"{"alg":"HS256"}"#;
        let issuer = |algorithm, domain, pinned: &str| {
            let mut settings = settings(domain, algorithm);
            settings.issuers = vec![pinned.to_owned()];
            let keys = Keys::from_secret(SECRET, &[algorithm]).unwrap();
            Issuer::new(settings, KeySource::Given(keys))
        };
        let others = vec![issuer(Algorithm::HS256, "other", "b")];
        let verifier = Verifier::new(issuer(Algorithm::HS256, "main", "a"), others);
        let read = |header: &str, claims: &str| {
            let text = signed(header, claims);
            let now = UnixTime::EPOCH;
            let read = verifier.token_from_text(TokenKind::Auto, &text, now);
            read.map(|token| {
                let by_digest = verifier.by_digest(&text).identity().id;
                let identity = token.identity();
                assert!(identity.groups.iter().any(|group| group.id == by_digest));
                identity.id
            })
        };
        let of_a = read(HEADER, r#"{"iss":"a","jti":"1"}"#).unwrap();
        let of_b = read(HEADER, r#"{"iss":"b","jti":"1"}"#).unwrap();
        assert_ne!(of_a, of_b);
        assert_eq!(read(HEADER, r#"{"iss":"c","jti":"1"}"#), Err(Flaw::Issuer));
        assert_eq!(read(HEADER, r#"{"jti":"1"}"#), Err(Flaw::Issuer));
        let other = r#"{"alg":"HS512"}"#;
        assert_eq!(read(other, r#"{"iss":"a"}"#), Err(Flaw::UnpinnedAlgorithm));
        let none = r#"{"alg":"none"}"#;
        assert_eq!(read(none, r#"{"iss":"a"}"#), Err(Flaw::Algorithm));
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
        (
            Arc::ptr_eq(new.issuers[0].ring(), old.issuers[0].ring()),
            new.key_count(),
        )
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
        assert!(old.has_keys() && old.issuers[0].source().is_some());
        assert_eq!(inherited(fetched("main", es, URL, hour), &old), (true, 1));
        let renamed = fetched("other", es, URL, minute);
        assert_eq!(inherited(renamed, &old), (false, 1), "without their memory");
        let elsewhere = fetched("main", es, "https://login.example.com/other.json", minute);
        assert_eq!(inherited(elsewhere, &old), (false, 0));
        let for_others = fetched("main", Algorithm::RS256, URL, minute);
        assert_eq!(inherited(for_others, &old), (false, 0));
        let by_other_authority = Verifier::new(
            Issuer::new(settings("main", es), source(URL, vec![vec![1]], minute)),
            Vec::new(),
        );
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
            let flaw = verifier
                .token_from_text(TokenKind::Jwt, &token(kid, alg), now)
                .err();
            (flaw, verifier.issuers[0].ring().wants_keys(now))
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
