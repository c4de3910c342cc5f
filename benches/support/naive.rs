//! A proxy without memory: it verifies every token of every request, and knows of no logout.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::mint::Mint;

/// One of those.
pub struct Naive {
    key: DecodingKey,
    validation: Validation,
}

/// The claims that such a proxy reads.
#[derive(Deserialize)]
struct NaiveClaims {
    sub: String,
    jti: String,
}

impl Naive {
    /// Such a proxy with this shop's key.
    pub fn new(mint: &Mint) -> Self {
        let algorithm: Algorithm = mint.algorithm().parse().expect("jsonwebtoken has it");
        Self {
            key: mint.decoding_key(),
            validation: Validation::new(algorithm),
        }
    }

    /// Whether the token is good.
    pub fn accepts(&self, token: &str) -> bool {
        let decoded = jsonwebtoken::decode::<NaiveClaims>(token, &self.key, &self.validation);
        decoded.is_ok_and(|token| !token.claims.sub.is_empty() && !token.claims.jti.is_empty())
    }
}
