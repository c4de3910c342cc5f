//! What can be wrong with a token.

use serde_json::Value;

/// Why a token can't be verified. The customer is told none of this, the log is.
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
    /// It is a token for something else, by its `typ` (RFC 8725 section 3.11).
    Type,
    /// Nothing is wrong with it, as far as we know: the shop's keys were never fetched.
    NoKeys,
    /// It names a key that is not here, and that a fetch may bring.
    KeyPending,
    /// No key fits its algorithm and `kid`.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// A claim has the wrong type or an impossible value.
    Claim(ClaimName, Unreadable),
    /// Issued by another issuer.
    Issuer,
    /// Meant for another audience.
    Audience,
    /// Issued far in the future: cutoffs could not reach it.
    IssuedInFuture,
    /// Neither a JWT nor like the shop's opaque tokens, where it must be one of them.
    NotJwt,
    /// The shop says that it is not good.
    Inactive,
    /// It names no customer, where all tokens of its customer but itself are to end.
    NoCustomer,
}

impl Flaw {
    /// Whether the token was not disproved, and no key that is still to come would tell more of it. A logout revokes
    /// such a token by its digest ([`Verifier::by_digest`](crate::request::Verifier::by_digest)) and passes it on to the shop,
    /// which may know it: identity providers sign with keys that they do not publish (RFC 7009 sections 2.1 and 2.2).
    pub const fn is_undecided(self) -> bool {
        match self {
            Self::UnknownKey | Self::UnpinnedAlgorithm => true,
            Self::NoKeys // answered 503 until they are there
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

/// A claim that is asked for, as the configuration calls it.
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
    /// The moment before which it is not good.
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

/// What stands in a claim and can't be read: its kind, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A text where a number is expected.
    Text,
    /// A text with half a character in it.
    BrokenText,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction, or too long to be exact.
    Fraction,
    /// A time before 1970.
    Negative,
    /// A time that no token has.
    TooLarge,
    /// A time that would be in the usual centuries if it counted milliseconds.
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

    /// What a value is that is no name and no time.
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
