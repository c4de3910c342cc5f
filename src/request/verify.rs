//! From the text of a credential to a token: verified, or opaque, or refused.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use moka::sync::Cache;
use regex::Regex;
use serde_json::Value;
use smallvec::SmallVec;

use super::json::{self, Pointer};
use super::keys::{self, Keys};
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
    keys: Keys,
    /// Tokens that verified, by their whole text. It never says "not revoked", so it may forget.
    verified: Cache<Text, Arc<Verified>, foldhash::fast::RandomState>,
}

/// The text of a token. Kept in memory only, and never shown.
type Text = Box<str>;

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
    /// What the shop's opaque bearers look like; `None`: anything. Others pass, but can't log out.
    pub opaque_pattern: Option<Regex>,
    /// A JWT that can't be verified is forwarded as if it were opaque.
    pub forward_unverifiable: bool,
}

/// Where the claims stand in a payload.
#[derive(Debug)]
pub struct Claims {
    /// The token's own id.
    pub id: Pointer,
    /// The customer.
    pub subject: Pointer,
    /// The session.
    pub session: Pointer,
    /// The end.
    pub expires_at: Pointer,
    /// The beginning, as the token says it or as it follows from the end.
    pub issued_at: IssuedAt,
}

/// How a token says when it was issued.
#[derive(Debug)]
pub enum IssuedAt {
    /// By a claim.
    Claim(Pointer),
    /// So long before another claim, for shops whose tokens live for a fixed time.
    Before(Pointer, Duration),
}

/// A credential that was read.
#[derive(Debug)]
pub enum Token {
    /// Its signature and claims are good.
    Verified(Arc<Verified>),
    /// Nothing is known of it but itself.
    Opaque(Identity),
}

impl Token {
    /// By what it can be refused.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Verified(token) => &token.identity,
            Self::Opaque(identity) => identity,
        }
    }
}

/// What a verified token says.
#[derive(Debug)]
pub struct Verified {
    /// By what it can be refused.
    pub identity: Identity,
    /// Its end, rounded up.
    pub expires_at: Option<UnixTime>,
    /// Before this it is not good yet.
    pub not_before: Option<UnixTime>,
    /// Its customer, if it names one.
    pub subject: Option<Id>,
    /// Its session, if it names one.
    pub session: Option<Id>,
    /// Its fingerprint, where tokens that do not verify are forwarded: with the signature respelled it
    /// would come back as one of those.
    pub fingerprint: Option<Id>,
}

/// Why a token can't be verified. The customer is told none of this, the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// Longer than [`TOKEN_BYTES_MAX`].
    TooLong,
    /// Its algorithm is not among the pinned ones.
    Algorithm,
    /// It asks for an extension (`crit`, RFC 7515 section 4.1.11).
    Critical,
    /// It is a token for something else, by its `typ` (RFC 8725 section 3.11).
    Type,
    /// No key fits its algorithm and `kid`.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// A claim has the wrong type or an impossible value.
    Claim,
    /// Issued by somebody else.
    Issuer,
    /// Meant for somebody else.
    Audience,
    /// Issued far in the future: cutoffs could not reach it.
    IssuedInFuture,
    /// Neither a JWT nor like the shop's opaque tokens, where it must be one of them.
    NotJwt,
}

impl Flaw {
    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::Type => "type",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim => "claim",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotJwt => "not_jwt",
        }
    }
}

/// The longest token that is read. Four times what cookies can carry; shops refuse such headers anyway.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// How far in the future a token may have been issued: any wrong clock, but not another year.
const FUTURE_MAX: Duration = Duration::from_hours(24);

/// How many bytes of verified tokens are remembered.
const VERIFIED_BYTES_MAX: u64 = 64 << 20;

impl Verifier {
    /// Verifies with these keys. The memory of verified tokens lives and dies with them.
    pub fn new(settings: TokenSettings, keys: Keys) -> Self {
        /// What an entry costs beside its text, measured at a million entries of moka 0.12.
        const ENTRY_BYTES: usize = 400;
        let weight =
            |text: &Text, _: &_| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let verified = Cache::builder()
            .weigher(weight)
            .max_capacity(VERIFIED_BYTES_MAX)
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            settings,
            keys,
            verified,
        }
    }

    /// What the operator said.
    pub fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.keys.count()
    }

    /// Reads a credential. Whether it is revoked, expired or not yet good is not asked here.
    pub fn read(&self, kind: Kind, text: &str, now: UnixTime) -> Result<Token, Flaw> {
        if let Some(known) = self.verified.get(text) {
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
            return Ok(self.opaque(text));
        }
        match self.verify(text, now) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                self.verified.insert(text.into(), Arc::clone(&verified));
                Ok(Token::Verified(verified))
            }
            Err(_) if self.settings.forward_unverifiable => Ok(self.opaque(text)),
            Err(Flaw::Malformed) if !has_jwt_shape(text) => Err(Flaw::NotJwt),
            Err(flaw) => Err(flaw),
        }
    }

    /// A logout stores what it revokes: an opaque bearer must look like one of the shop's.
    pub fn refuse_implausible(&self, token: &Token, text: &str) -> Result<(), Flaw> {
        match (token, &self.settings.opaque_pattern) {
            (Token::Opaque(_), Some(pattern)) if !pattern.is_match(text) => Err(Flaw::NotJwt),
            (Token::Opaque(_) | Token::Verified(_), _) => Ok(()),
        }
    }

    /// A token of which nothing is known: it can be named by itself only, not by its customer.
    fn opaque(&self, text: &str) -> Token {
        Token::Opaque(Identity {
            id: self.fingerprint(signed_part(text)),
            window: Window::UNDATED,
            groups: SmallVec::new(),
            issued_at: None,
        })
    }

    fn fingerprint(&self, text: &str) -> Id {
        Id::of(
            Digest::Fingerprint,
            &[self.settings.realm.as_bytes(), text.as_bytes()],
        )
    }

    fn verify(&self, text: &str, now: UnixTime) -> Result<Verified, Flaw> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let header = decode_object(header)?;
        let algorithm = self.accepted_algorithm(&header)?;
        let key_id = key_id(&header)?;
        refuse_other_types(&header)?;
        self.verify_signature(signed, signature, algorithm, key_id)?;
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
        keys::algorithm(name)
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or(Flaw::Algorithm)
    }

    fn verify_signature(
        &self,
        signed: &str,
        signature: &str,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> Result<(), Flaw> {
        let mut flaw = Flaw::UnknownKey;
        for key in self.keys.candidates(algorithm, key_id) {
            match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) => flaw = Flaw::Signature,
            }
        }
        Err(flaw)
    }

    fn verified(&self, signed: &str, payload: &Value, now: UnixTime) -> Result<Verified, Flaw> {
        let claims = &self.settings.claims;
        let issuer = self.accepted_issuer(payload)?;
        self.check_audience(payload)?;
        let expires_at = moment(claims.expires_at.find(payload), Round::Up)?;
        let not_before = moment(payload.get("nbf"), Round::Down)?;
        let issued_at = self.issued_at(payload)?;
        if issued_at.is_some_and(|issued_at| issued_at > now.plus(FUTURE_MAX)) {
            return Err(Flaw::IssuedInFuture);
        }
        let id = match claims.id.find(payload).and_then(name_of) {
            Some(id) => self.digest(Digest::Token, issuer, &id),
            None => self.fingerprint(signed),
        };
        let subject = named(claims.subject.find(payload))?;
        let session = named(claims.session.find(payload))?;
        let identity = Identity {
            id,
            window: Window::of(expires_at),
            groups: self.groups(issuer, session.as_deref(), subject.as_deref()),
            issued_at,
        };
        let pinned = self.pinned(issuer);
        Ok(Verified {
            identity,
            expires_at,
            not_before,
            subject: subject.map(|name| self.digest(Digest::Subject, pinned, &name)),
            session: session.map(|name| self.digest(Digest::Session, pinned, &name)),
            fingerprint: self
                .settings
                .forward_unverifiable
                .then(|| self.fingerprint(signed)),
        })
    }

    /// Everything a cutoff could name this token by. Session and customer are looked for under the issuer
    /// and under none, so that pinning the issuers later forgets no logout.
    fn groups(
        &self,
        issuer: &str,
        session: Option<&str>,
        subject: Option<&str>,
    ) -> SmallVec<[Group; 5]> {
        let mut groups = SmallVec::new();
        let named = [
            (session, Digest::Session, Cause::Session),
            (subject, Digest::Subject, Cause::Subject),
        ];
        for (name, digest, cause) in named {
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
        let only = match self.settings.issuers.as_slice() {
            [only] => only.as_str(),
            [] | [_, ..] => "",
        };
        self.digest(kind, issuer.unwrap_or(only), name)
    }

    /// Standards 57: present, a string, and one of ours letter by letter. Unpinned, it is whatever it says.
    fn accepted_issuer<'p>(&self, payload: &'p Value) -> Result<&'p str, Flaw> {
        let issuer = payload.get("iss").and_then(Value::as_str);
        if self.settings.issuers.is_empty() {
            return Ok(issuer.unwrap_or_default());
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

    fn issued_at(&self, payload: &Value) -> Result<Option<UnixTime>, Flaw> {
        match &self.settings.claims.issued_at {
            IssuedAt::Claim(pointer) => moment(pointer.find(payload), Round::Down),
            IssuedAt::Before(pointer, span) => {
                let from = moment(pointer.find(payload), Round::Down)?;
                Ok(from.map(|from| from.minus(*span)))
            }
        }
    }
}

/// A JWT could be read out of it: at least three parts, of which the first begins an object.
///
/// Judged as laxly as the laxest parser, which skips what is not base64.
fn has_jwt_shape(text: &str) -> bool {
    if text.bytes().filter(|byte| *byte == b'.').count() < 2 {
        return false;
    }
    let header = text.split('.').next().unwrap_or_default();
    let letters = header
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte))
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        });
    let start: Vec<u8> = letters.take(64).collect();
    let whole = &start[..start.len() / 4 * 4];
    let decoded = URL_SAFE_NO_PAD.decode(whole).unwrap_or_default();
    decoded.trim_ascii_start().first() == Some(&b'{')
}

/// What a token's fingerprint is taken of: its signing input `header.payload`, for a signature can be
/// respelled. Of anything else all.
fn signed_part(text: &str) -> &str {
    match text.rsplit_once('.') {
        Some((signed, _signature)) if has_jwt_shape(text) => signed,
        Some(_) | None => text,
    }
}

/// Standards 28, 29, 49: base64url without padding, and an object in it.
fn decode_object(part: &str) -> Result<Value, Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)?;
    json::parse(&bytes)
        .filter(Value::is_object)
        .ok_or(Flaw::Malformed)
}

/// Standards 34: a string or nothing.
fn key_id(header: &Value) -> Result<Option<&str>, Flaw> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id)),
        Some(_) => Err(Flaw::Malformed),
    }
}

/// Standards 62: a logout token, a security event, a status list and their like are no access tokens,
/// though the same issuer signs them. Other types pass: shops write what they like there.
fn refuse_other_types(header: &Value) -> Result<(), Flaw> {
    let Some(declared) = header.get("typ") else {
        return Ok(());
    };
    let declared = declared
        .as_str()
        .ok_or(Flaw::Malformed)?
        .to_ascii_lowercase();
    let subtype = declared.strip_prefix("application/").unwrap_or(&declared);
    if subtype.ends_with("+jwt") && subtype != "at+jwt" {
        return Err(Flaw::Type);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// A `NumericDate` (RFC 7519 section 2): a number, perhaps with a fraction, not negative, not absurd.
fn moment(claim: Option<&Value>, round: Round) -> Result<Option<UnixTime>, Flaw> {
    let number = match claim {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(Flaw::Claim),
    };
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => whole,
        (None, Some(fraction)) => whole_seconds(fraction, round).ok_or(Flaw::Claim)?,
        (None, None) => return Err(Flaw::Claim),
    };
    let moment = UnixTime::from_seconds(seconds);
    if moment > Window::LAST_MOMENT {
        return Err(Flaw::Claim);
    }
    Ok(Some(moment))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked first"
)]
fn whole_seconds(fraction: f64, round: Round) -> Option<u64> {
    let whole = match round {
        Round::Up => fraction.ceil(),
        Round::Down => fraction.floor(),
    };
    let fits = fraction >= 0.0 && whole <= Window::LAST_MOMENT.seconds() as f64;
    fits.then_some(whole as u64)
}

/// A name as one text: a string that is not empty, or a whole number (to a shop 5 and "5" are one customer).
fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

/// A customer or session: absent, or a proper name. Anything else is a token that we do not understand.
fn named(value: Option<&Value>) -> Result<Option<String>, Flaw> {
    value
        .map(|value| name_of(value).ok_or(Flaw::Claim))
        .transpose()
}
