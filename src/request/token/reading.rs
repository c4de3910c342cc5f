//! What a JWT says of itself, verified or not, for an operator who asks why it is refused. Nothing is decided by it.

use serde_json::Value;

use super::claims::TimeClaim;
use super::compact::{Compact, decode_object};
use super::settings::TokenSettings;

/// What a JWT says of itself. The names of customers, sessions and tokens are left out.
#[derive(Clone, Debug, Default)]
pub struct TokenReading {
    /// `alg`.
    pub algorithm: Option<String>,
    /// `kid`.
    pub key_id: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`.
    pub audiences: Vec<String>,
    /// When it expires, in seconds since the epoch.
    pub expires_at: Option<u64>,
    /// Before when it is not valid.
    pub not_before: Option<u64>,
    /// When it was issued.
    pub issued_at: Option<u64>,
    /// Whether it names itself.
    pub has_id: bool,
    /// Whether it names a customer.
    pub has_subject: bool,
    /// Whether it names a session.
    pub has_session: bool,
}

impl TokenReading {
    /// Reads a JWT by the claims of these settings; `None`: it is none.
    pub fn parse(text: &str, settings: &TokenSettings) -> Option<Self> {
        let token = Compact::parse(text).ok()?;
        let payload = decode_object(token.payload).ok()?;
        let claims = &settings.claims;
        let word = |value: Option<&Value>| value?.as_str().map(str::to_owned);
        let audiences = match payload.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => {
                let texts = all.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            Some(_) | None => Vec::new(),
        };
        let subject = claims.subject.last();
        Some(Self {
            algorithm: word(token.header.get("alg")),
            key_id: word(token.header.get("kid")),
            issuer: word(payload.get("iss")),
            audiences,
            expires_at: seconds(&claims.expires_at, &payload),
            not_before: payload.get("nbf").and_then(Value::as_u64),
            issued_at: claims
                .issued_at
                .claim()
                .and_then(|claim| seconds(claim, &payload)),
            has_id: claims.id.find(&payload).is_some(),
            has_subject: subject.is_some_and(|pointer| pointer.find(&payload).is_some()),
            has_session: claims.session.find(&payload).is_some(),
        })
    }
}

/// A time as it stands there, in seconds.
fn seconds(claim: &TimeClaim, payload: &Value) -> Option<u64> {
    let number = claim.pointer.find(payload)?.as_f64()?;
    let number = match claim.unit {
        Some(super::claims::TimeUnit::Milliseconds) => number / 1000.0,
        Some(super::claims::TimeUnit::Seconds) | None => number,
    };
    format!("{number:.0}").parse().ok()
}
