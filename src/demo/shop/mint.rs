//! Where the pretend shop's tokens are made.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::{self, UnixTime};

/// Long enough for HS256, and text, so that a `secret_file` can hold it.
pub(super) const SECRET: &str = "a-pretend-shop-keeps-this-secret-of-48-bytes-ok!";
/// What the tokens name as their issuer.
pub(super) const ISSUER: &str = "https://shop.example.com";

/// What Laravel draws random text from.
pub(super) const LETTERS_AND_DIGITS: &str =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) const HEXADECIMAL: &str = "0123456789abcdef";

/// Old enough to be expired by every shop whose tokens live for a week, and not too old to be refreshed.
const EXPIRED_AGE_S: i64 = 8 * 24 * 3600;

/// How complete the claims are of the JWTs that a login hands out. `CoCart` has claims of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coinage {
    /// `iss`, `sub`, `iat`, `nbf`, `exp`, `jti`.
    Full,
    /// No `jti`: two logins of a customer in the same second get the same token.
    WithoutId,
    /// No `exp`.
    WithoutEnd,
    /// Expired a moment ago, and issued no longer ago than a token that can be refreshed.
    Expired,
}

/// Signs tokens and reads them again, by the shop's own clock.
pub(super) struct Mint {
    pub(super) clock: PretendClock,
    coinage: Mutex<Coinage>,
    serial: AtomicU64,
    random: RandomState,
}

impl Mint {
    pub(super) fn new() -> Self {
        Self {
            clock: PretendClock::default(),
            coinage: Mutex::new(Coinage::Full),
            serial: AtomicU64::new(0),
            random: RandomState::new(),
        }
    }

    pub(super) fn coin(&self, coinage: Coinage) {
        *self.coinage.lock() = coinage;
    }

    /// What a login of this customer signs.
    pub(super) fn claims(&self, subject: &Value, lifetime_s: i64) -> Value {
        let coinage = *self.coinage.lock();
        let issued_at = match coinage {
            Coinage::Expired => self.clock.now() - EXPIRED_AGE_S,
            Coinage::Full | Coinage::WithoutId | Coinage::WithoutEnd => self.clock.now(),
        };
        let mut claims = json!({"iss": ISSUER, "sub": subject, "iat": issued_at, "nbf": issued_at});
        match coinage {
            Coinage::WithoutEnd => {}
            Coinage::Expired => claims["exp"] = json!(self.clock.now() - 1),
            Coinage::Full | Coinage::WithoutId => claims["exp"] = json!(issued_at + lifetime_s),
        }
        if coinage != Coinage::WithoutId {
            claims["jti"] = json!(self.random_text(LETTERS_AND_DIGITS, 16));
        }
        claims
    }

    pub(super) fn sign(claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
            .expect("JSON always serialises, and HS256 takes any secret")
    }

    /// The claims of a token that is signed by this shop and valid now.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let claims = Self::signed_claims(token)?;
        let now = self.clock.now();
        let begun = claims["nbf"]
            .as_i64()
            .is_none_or(|not_before| not_before <= now);
        let alive = claims["exp"]
            .as_i64()
            .is_none_or(|expires_at| now < expires_at);
        (begun && alive).then_some(claims)
    }

    /// The claims of a token that is signed by this shop, whenever that was.
    pub(super) fn signed_claims(token: &str) -> Option<Value> {
        let mut signature_only = Validation::new(Algorithm::HS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false; // by the shop's clock, in `verify`
        signature_only.validate_aud = false;
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let decoded = jsonwebtoken::decode::<Value>(token, &key, &signature_only);
        decoded.ok().map(|token| token.claims)
    }

    /// Random characters from `alphabet`. No two calls agree, in one second or across processes.
    pub(super) fn random_text(&self, alphabet: &str, length: usize) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let letters = alphabet.as_bytes();
        let letter = |index| self.random.hash_one((serial, index)) % letters.len() as u64;
        (0..length)
            .filter_map(|index| usize::try_from(letter(index)).ok())
            .map(|at| char::from(letters[at]))
            .collect()
    }
}

/// The shop's clock: right, or wrong by as much as a test wants, or stopped.
#[derive(Default)]
pub(super) struct PretendClock {
    offset_s: AtomicI64,
    stopped_at: Mutex<Option<UnixTime>>,
}

impl PretendClock {
    pub(super) fn set_offset(&self, seconds: i64) {
        self.offset_s.store(seconds, Ordering::SeqCst);
    }

    pub(super) fn stop(&self) {
        *self.stopped_at.lock() = Some(clock::now());
    }

    /// Seconds since 1970, as claims hold them.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.time().seconds()).unwrap_or(i64::MAX)
    }

    /// The value of a `Date` header.
    pub(super) fn date(&self) -> String {
        self.date_before(Duration::ZERO)
    }

    /// As `date`, some time ago.
    pub(super) fn date_before(&self, age: Duration) -> String {
        let since_epoch = Duration::from_secs(self.time().minus(age).seconds());
        httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
    }

    fn time(&self) -> UnixTime {
        let time = self.stopped_at.lock().unwrap_or_else(clock::now);
        time.shifted(self.offset_s.load(Ordering::SeqCst))
    }
}
