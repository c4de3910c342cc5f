//! Tokens: from a text to a verified or opaque token, with the keys and claims of its issuer.
//!
//! More than a dozen files: each step from a text to a token has one, and so has what only its operator asks of it.

mod claims;
mod compact;
mod flaw;
mod issuer;
pub(super) mod key_ring;
mod key_source;
mod keys;
mod known_token;
mod operator_names;
mod reading;
mod settings;
mod subject;
mod trial;
mod verifier;

pub use claims::{Claims, IssuedAt, TimeClaim, TimeUnit};
pub(super) use claims::{moment_in_answer, name_from_json};
pub(super) use compact::{Compact, decode_object, has_jwt_shape, jwts_in};
pub use flaw::{ClaimName, Flaw, Unreadable};
pub use issuer::Issuer;
pub(super) use issuer::OperatorName;
pub use key_ring::{KeyRing, KeyState};
pub use key_source::{JwksSource, KeySource};
pub(super) use keys::Acceptance;
pub use keys::{
    ALGORITHMS, FailureWeight, FirstSuccess, KeyDescription, Keys, NoneAccepted, SuccessNews,
    UnfitKey, UnfitSet, algorithm_name, secret_bytes_min,
};
pub use known_token::{Confirmed, Token, Verified};
pub use reading::TokenReading;
pub use settings::{TokenKind, TokenSettings, UnknownToken};
pub use subject::Subject;
pub use trial::SecretMistake;
pub use verifier::{Awaited, AwaitedSuccess, TOKEN_BYTES_MAX, Verifier};
