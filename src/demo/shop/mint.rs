//! Where the pretend shop's tokens are made.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::Value;

use crate::clock::{self, UnixTime};

/// Long enough for HS256, and text, so that a `secret_file` can hold it.
pub(super) const SECRET: &str = "a-pretend-shop-keeps-this-secret-of-48-bytes-ok!";
/// What the tokens name as their issuer.
pub(super) const ISSUER: &str = "https://shop.example.com";

/// Signs tokens and reads them again, by the shop's own clock.
pub(super) struct Mint {
    pub(super) clock: ShopClock,
    serial: AtomicU64,
    random: RandomState,
}

impl Mint {
    pub(super) fn new() -> Self {
        Self {
            clock: ShopClock {
                offset_s: AtomicI64::new(0),
            },
            serial: AtomicU64::new(0),
            random: RandomState::new(),
        }
    }

    pub(super) fn sign(claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
            .expect("JSON always serialises, and HS256 takes any secret")
    }

    /// The claims of a token that is signed by this shop and valid now.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let mut signature_only = Validation::new(Algorithm::HS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false; // by the shop's clock, below
        signature_only.validate_aud = false;
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = jsonwebtoken::decode::<Value>(token, &key, &signature_only)
            .ok()?
            .claims;
        let now = self.clock.now();
        let begun = claims["nbf"]
            .as_i64()
            .is_none_or(|not_before| not_before <= now);
        let alive = claims["exp"]
            .as_i64()
            .is_none_or(|expires_at| now < expires_at);
        (begun && alive).then_some(claims)
    }

    /// Random characters from `alphabet`. No two calls agree, in one second or across processes.
    pub(super) fn word(&self, alphabet: &str, length: usize) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let letters = alphabet.as_bytes();
        let letter = |index| self.random.hash_one((serial, index)) % letters.len() as u64;
        (0..length)
            .filter_map(|index| usize::try_from(letter(index)).ok())
            .map(|at| char::from(letters[at]))
            .collect()
    }
}

/// The shop's clock: right, or wrong by as much as a test wants.
pub(super) struct ShopClock {
    offset_s: AtomicI64,
}

impl ShopClock {
    pub(super) fn set_offset(&self, seconds: i64) {
        self.offset_s.store(seconds, Ordering::SeqCst);
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
        clock::now().shifted(self.offset_s.load(Ordering::SeqCst))
    }
}
