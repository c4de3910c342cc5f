//! What can be wrong with a token.

use serde_json::Value;

use super::keys::FailureWeight;

/// Why a token can't be verified. It is logged, and not told to the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// Longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    TooLong,
    /// It names no algorithm that signs, such as `none`.
    Algorithm,
    /// Its algorithm is not among the pinned ones.
    UnpinnedAlgorithm,
    /// It asks for an extension (`crit`, RFC 7515 section 4.1.11).
    Critical,
    /// By its `typ` it is a token for another use (RFC 8725 section 3.11).
    Type,
    /// The issuer's keys were not fetched yet.
    NoKeys,
    /// It names a missing key, which a fetch may bring.
    KeyPending,
    /// No key fits its algorithm and `kid`.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// A claim has the wrong type or an impossible value.
    Claim(ClaimName, Unreadable),
    /// Issued by another issuer.
    Issuer,
    /// Issued for another audience.
    Audience,
    /// Issued far in the future: cutoffs could not reach it.
    IssuedInFuture,
    /// Neither a JWT nor like the shop's opaque tokens, where one of them is required.
    NotJwt,
    /// The shop says that it is not active.
    Inactive,
    /// It names no customer, though a logout is to revoke the customer's other tokens.
    NoCustomer,
}

impl Flaw {
    /// One of each kind.
    pub const EXAMPLES: [Self; 17] = [
        Self::Malformed,
        Self::TooLong,
        Self::Algorithm,
        Self::UnpinnedAlgorithm,
        Self::Critical,
        Self::Type,
        Self::NoKeys,
        Self::KeyPending,
        Self::UnknownKey,
        Self::Signature,
        Self::Claim(ClaimName::Id, Unreadable::Text),
        Self::Issuer,
        Self::Audience,
        Self::IssuedInFuture,
        Self::NotJwt,
        Self::Inactive,
        Self::NoCustomer,
    ];

    /// Whether the token may be valid to the shop, and no fetch would change that. A logout revokes such a token by its digest
    /// ([`Verifier::by_digest`](crate::request::Verifier::by_digest)) and is forwarded with it: identity providers also sign
    /// with keys that they do not publish (RFC 7009 sections 2.1 and 2.2).
    pub const fn is_undecided(self) -> bool {
        match self {
            Self::UnknownKey | Self::UnpinnedAlgorithm => true,
            Self::NoKeys // answered with 503 until the keys are fetched
            | Self::KeyPending
            | Self::Malformed
            | Self::TooLong
            | Self::Algorithm
            | Self::Critical
            | Self::Type
            | Self::Signature
            | Self::Claim(..)
            | Self::Issuer
            | Self::Audience
            | Self::IssuedInFuture
            | Self::NotJwt
            | Self::Inactive
            | Self::NoCustomer => false,
        }
    }

    /// Whether the token may be valid to the shop, and another configuration would verify it: a wrong key, issuer or claim.
    pub const fn may_be_mended(self) -> bool {
        match self {
            Self::UnknownKey
            | Self::UnpinnedAlgorithm
            | Self::Signature
            | Self::Type
            | Self::Claim(..)
            | Self::Issuer
            | Self::Audience
            | Self::IssuedInFuture => true,
            Self::NoKeys
            | Self::KeyPending
            | Self::Malformed
            | Self::TooLong
            | Self::Algorithm
            | Self::Critical
            | Self::NotJwt
            | Self::Inactive
            | Self::NoCustomer => false,
        }
    }

    /// What it says of the configuration while no token has verified yet.
    pub(in crate::request) const fn weight(self) -> FailureWeight {
        if self.may_be_mended() || matches!(self, Self::NoKeys | Self::Critical) {
            FailureWeight::Telling
        } else {
            FailureWeight::Usual
        }
    }

    /// Which claim can't be read, and what stands there instead, for the log.
    pub const fn claim(self) -> Option<(ClaimName, Unreadable)> {
        match self {
            Self::Claim(claim, found) => Some((claim, found)),
            Self::Malformed
            | Self::TooLong
            | Self::Algorithm
            | Self::UnpinnedAlgorithm
            | Self::Critical
            | Self::Type
            | Self::NoKeys
            | Self::KeyPending
            | Self::UnknownKey
            | Self::Signature
            | Self::Issuer
            | Self::Audience
            | Self::IssuedInFuture
            | Self::NotJwt
            | Self::Inactive
            | Self::NoCustomer => None,
        }
    }

    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Algorithm => "algorithm",
            Self::UnpinnedAlgorithm => "algorithm_not_pinned",
            Self::Critical => "critical",
            Self::Type => "type",
            Self::NoKeys => "no_keys",
            Self::KeyPending => "key_pending",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim(..) => "claim",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotJwt => "not_jwt",
            Self::Inactive => "inactive",
            Self::NoCustomer => "no_customer",
        }
    }
}

/// A claim that is used, by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimName {
    /// The token's own id.
    Id,
    /// The customer.
    Subject,
    /// The session.
    Session,
    /// The end.
    ExpiresAt,
    /// The moment before which it is not valid.
    NotBefore,
    /// The beginning.
    IssuedAt,
}

impl ClaimName {
    /// The word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Subject => "subject",
            Self::Session => "session",
            Self::ExpiresAt => "expires_at",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "issued_at",
        }
    }
}

/// The type of a value that a claim can't have; never the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A text where a number is expected.
    Text,
    /// A text with half a surrogate pair.
    BrokenText,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction, or too long to be exact.
    Fraction,
    /// A time before 1970.
    Negative,
    /// A time that no token has.
    TooLarge,
    /// A time that is probably in milliseconds.
    Milliseconds,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Unreadable {
    /// The word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::BrokenText => "broken_text",
            Self::Boolean => "boolean",
            Self::Fraction => "fraction",
            Self::Negative => "negative",
            Self::TooLarge => "too_large",
            Self::Milliseconds => "milliseconds",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// The type of a value that is neither a name nor a time.
    pub(in crate::request) fn from_json(value: &Value) -> Self {
        match value {
            Value::Bool(_) | Value::Null => Self::Boolean,
            Value::Number(_) => Self::Fraction,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}
