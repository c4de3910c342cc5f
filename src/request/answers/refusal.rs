//! Why a request is refused: with its status, message, and name in logs and metrics.

use http::StatusCode;

use crate::request::token::Flaw;
use crate::revocation::{Cause, Id};

/// Why a request is refused. A refusal answers a customer; it is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `Host` is missing, repeated or malformed (RFC 9112 section 3.2).
    BadHost,
    /// The request target is no path (RFC 9112 section 3.2).
    BadTarget,
    /// The request target is too long (RFC 9110 section 15.5.15).
    TargetTooLong,
    /// The header block is too long (RFC 6585 section 5).
    HeadTooLong,
    /// The header block did not arrive in time (RFC 9110 section 15.5.9).
    HeadTimeout,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.3).
    AmbiguousLength,
    /// A transfer coding that is not understood (RFC 9112 section 6.1).
    UnknownCoding,
    /// `chunked` stands more than once, or beside nothing (RFC 9112 section 7.1).
    RepeatedCoding,
    /// It is not an HTTP request.
    Malformed,
    /// No shop claims the host (RFC 9110 section 15.5.20).
    UnknownHost,
    /// Shops claim paths of the host, and none claims this one.
    UnknownPath,
    /// The request has passed through too many Doorwards: a server sends it back (RFC 5842 section 7.2).
    LoopDetected,
    /// Two parsers could read the path differently: one of the readings is under a rule, or belongs to another route or shop.
    AmbiguousPath,
    /// TRACE would send credentials back.
    TraceRefused,
    /// More than one bearer, or one by two methods (RFC 6750 section 3.1).
    TwoCredentials,
    /// A credential that can't be told from the text around it.
    MalformedCredential,
    /// `Connection` names a header that carries a credential.
    NominatedCredential,
    /// `Connection` names a header that says who the customer is or where the request came from.
    NominatedIdentity,
    /// The body is longer than what is read ahead, and could hold a credential.
    UnreadableBody,
    /// The body is longer than its route allows (RFC 9110 section 15.5.14).
    BodyTooLarge,
    /// The body is encoded in a way that is not decoded, and could hold a credential (RFC 9110 section 15.5.16).
    EncodedBody,
    /// Too many bodies are read ahead.
    ReadAheadFull,
    /// A GraphQL document is named by a hash that is not known here: the client may send the text.
    UnknownDocument {
        /// How many answers it wants, if it is a batch.
        batch: Option<usize>,
    },
    /// A token that can't be verified.
    Unverifiable(Flaw),
    /// A token that can't be verified yet: the shop's keys were never fetched.
    KeysMissing,
    /// A token that names a key which is being fetched.
    KeyPending,
    /// An opaque token that the shop must be asked about, and the shop does not answer.
    Unconfirmed,
    /// A credential that can't be judged yet: other nodes may know that it was logged out.
    Syncing,
    /// An expired token, where the route refuses those.
    Expired,
    /// A token that is not yet valid, where the route refuses those.
    NotYetValid,
    /// A token that was logged out.
    Revoked {
        /// By what.
        cause: Cause,
        /// Which token, for the log.
        token: Id,
        /// The entry that covers it.
        by: Id,
    },
    /// No credential where one is required.
    NoCredential,
    /// The shop's client key is missing.
    NoClientKey,
    /// The shop's client key does not look like one.
    BadClientKey,
    /// A foreign page asks for a logout with the customer's cookie.
    CrossSite,
    /// The client's network is denied, or others alone are allowed.
    AccessDenied,
    /// Another method than a path of Doorward's own allows (RFC 9110 section 15.5.6).
    MethodNotAllowed {
        /// The methods that it allows.
        allow: &'static str,
    },
    /// Too many logouts with credentials that can't be verified.
    TooManyLogouts,
    /// More requests than a limit allows (RFC 6585 section 4).
    RateLimited {
        /// The key of the limit.
        limit: &'static str,
        /// In how many seconds it may be tried again.
        retry_after_s: u32,
    },
    /// The logout is in force but not on disk.
    NotDurable,
    /// The shop can't be reached or does not answer properly.
    UpstreamFailed,
    /// The shop does not answer in time.
    UpstreamTimeout,
    /// No server of the shop has an address.
    NoUpstream,
    /// Every server has as many requests as it may, and too many wait.
    QueueFull,
    /// Every server had as many requests as it may, for too long.
    QueueTimeout,
}

/// A token whose keys are missing may be valid: the request may be tried again.
impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        if flaw == Flaw::NoKeys {
            return Self::KeysMissing;
        }
        if flaw == Flaw::KeyPending {
            return Self::KeyPending;
        }
        Self::Unverifiable(flaw)
    }
}

const INVALID_TOKEN: &str = "invalid_token";
const INVALID_REQUEST: &str = "invalid_request";

impl Refusal {
    /// One of each kind. A revoked token has two: it is named differently if its issue time is not known.
    pub fn examples() -> Vec<Self> {
        let token = Id::from_bytes([0; 16]);
        let by = token;
        let revoked = |cause| Self::Revoked { cause, token, by };
        vec![
            Self::BadHost,
            Self::BadTarget,
            Self::TargetTooLong,
            Self::HeadTooLong,
            Self::HeadTimeout,
            Self::AmbiguousLength,
            Self::UnknownCoding,
            Self::RepeatedCoding,
            Self::Malformed,
            Self::UnknownHost,
            Self::UnknownPath,
            Self::LoopDetected,
            Self::AmbiguousPath,
            Self::TraceRefused,
            Self::TwoCredentials,
            Self::MalformedCredential,
            Self::NominatedCredential,
            Self::NominatedIdentity,
            Self::UnreadableBody,
            Self::BodyTooLarge,
            Self::EncodedBody,
            Self::ReadAheadFull,
            Self::UnknownDocument { batch: None },
            Self::Unverifiable(Flaw::Malformed),
            Self::KeysMissing,
            Self::KeyPending,
            Self::Unconfirmed,
            Self::Syncing,
            Self::Expired,
            Self::NotYetValid,
            revoked(Cause::Token),
            revoked(Cause::Unknown),
            Self::NoCredential,
            Self::NoClientKey,
            Self::BadClientKey,
            Self::CrossSite,
            Self::AccessDenied,
            Self::MethodNotAllowed { allow: "POST" },
            Self::TooManyLogouts,
            Self::RateLimited {
                limit: "limit",
                retry_after_s: 1,
            },
            Self::NotDurable,
            Self::UpstreamFailed,
            Self::UpstreamTimeout,
            Self::NoUpstream,
            Self::QueueFull,
            Self::QueueTimeout,
        ]
    }

    /// The status of the answer, where the shop does not say otherwise.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadHost
            | Self::BadTarget
            | Self::AmbiguousLength
            | Self::RepeatedCoding
            | Self::Malformed
            | Self::AmbiguousPath
            | Self::TwoCredentials
            | Self::MalformedCredential
            | Self::NominatedCredential
            | Self::NominatedIdentity => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::LoopDetected => StatusCode::LOOP_DETECTED,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::TraceRefused | Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnreadableBody | Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::EncodedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ReadAheadFull
            | Self::KeysMissing
            | Self::KeyPending
            | Self::Unconfirmed
            | Self::Syncing
            | Self::NotDurable
            | Self::NoUpstream
            | Self::QueueFull
            | Self::QueueTimeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownDocument { .. } => StatusCode::OK,
            Self::Unverifiable(_)
            | Self::Expired
            | Self::NotYetValid
            | Self::Revoked { .. }
            | Self::NoCredential
            | Self::NoClientKey => StatusCode::UNAUTHORIZED,
            Self::BadClientKey | Self::CrossSite | Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::TooManyLogouts | Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UpstreamFailed => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The error code of the challenge (RFC 6750 section 3.1), if it has one. A request without a credential has none.
    pub const fn error_code(self) -> Option<&'static str> {
        match self {
            Self::TwoCredentials
            | Self::MalformedCredential
            | Self::NominatedCredential
            | Self::NominatedIdentity => Some(INVALID_REQUEST),
            Self::Unverifiable(_) | Self::Expired | Self::NotYetValid | Self::Revoked { .. } => {
                Some(INVALID_TOKEN)
            }
            Self::BadHost
            | Self::BadTarget
            | Self::TargetTooLong
            | Self::HeadTooLong
            | Self::HeadTimeout
            | Self::AmbiguousLength
            | Self::UnknownHost
            | Self::UnknownPath
            | Self::LoopDetected
            | Self::UnknownCoding
            | Self::RepeatedCoding
            | Self::Malformed
            | Self::AmbiguousPath
            | Self::TraceRefused
            | Self::UnreadableBody
            | Self::BodyTooLarge
            | Self::EncodedBody
            | Self::ReadAheadFull
            | Self::UnknownDocument { .. }
            | Self::KeysMissing
            | Self::KeyPending
            | Self::Unconfirmed
            | Self::Syncing
            | Self::NoCredential
            | Self::NoClientKey
            | Self::BadClientKey
            | Self::CrossSite
            | Self::AccessDenied
            | Self::MethodNotAllowed { .. }
            | Self::TooManyLogouts
            | Self::RateLimited { .. }
            | Self::NotDurable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::NoUpstream
            | Self::QueueFull
            | Self::QueueTimeout => None,
        }
    }

    /// What the customer is told. Nothing of it comes from the request (standards 20).
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadHost => "The Host header is missing or malformed",
            Self::BadTarget => "The request target is malformed",
            Self::TargetTooLong => "The request target is too long",
            Self::HeadTooLong => "The header fields are too large",
            Self::HeadTimeout => "The request did not arrive in time",
            Self::AmbiguousLength => "The length of the body is given in two ways",
            Self::UnknownHost => "No shop is served under this host",
            Self::UnknownPath => "No shop is served under this path",
            Self::LoopDetected => "The request was forwarded in a loop",
            Self::UnknownCoding => "The transfer coding is not supported",
            Self::RepeatedCoding => "The transfer coding is malformed",
            Self::Malformed => "The request is malformed",
            Self::AmbiguousPath => "The path can be read in more than one way",
            Self::TraceRefused => "TRACE is not allowed",
            Self::TwoCredentials => "More than one credential was sent",
            Self::MalformedCredential => "The credential is malformed",
            Self::NominatedCredential => "The Connection header names a credential",
            Self::NominatedIdentity => "The Connection header names a header of the proxy",
            Self::UnreadableBody => "The body is too large to be examined",
            Self::BodyTooLarge => "The body is too large",
            Self::EncodedBody => {
                "The content encoding is not supported; send the body without one, or with gzip"
            }
            Self::ReadAheadFull => "Too many requests are being read; try again",
            Self::UnknownDocument { .. } => "PersistedQueryNotFound",
            Self::Unverifiable(_) => "The token is invalid",
            Self::KeysMissing => "Tokens can't be verified yet; try again",
            Self::KeyPending => "The token can't be verified yet; try again",
            Self::Unconfirmed => "The token can't be verified now; try again",
            Self::Syncing => "The service is not ready; try again",
            Self::Expired => "The token has expired",
            Self::NotYetValid => "The token is not valid yet",
            Self::Revoked { .. } => "The token was revoked",
            Self::NoCredential => "Authentication is required",
            Self::NoClientKey => "A client key is required",
            Self::BadClientKey => "The client key is invalid",
            Self::CrossSite => "Logging out is only possible from the shop itself",
            Self::AccessDenied => "Access is not allowed from this network",
            Self::MethodNotAllowed { .. } => "Method not allowed",
            Self::TooManyLogouts => "Too many logouts",
            Self::RateLimited { .. } => "Too many requests; try again later",
            Self::NotDurable => "The logout could not be stored; try again",
            Self::UpstreamFailed => "The shop can't be reached",
            Self::UpstreamTimeout => "The shop does not answer",
            Self::NoUpstream => "The shop is not available; try again",
            Self::QueueFull | Self::QueueTimeout => "The shop is busy; try again",
        }
    }

    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadHost => "bad_host",
            Self::BadTarget => "bad_target",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLong => "head_too_long",
            Self::HeadTimeout => "head_timeout",
            Self::AmbiguousLength => "ambiguous_length",
            Self::UnknownHost => "unknown_host",
            Self::UnknownPath => "unknown_path",
            Self::LoopDetected => "loop_detected",
            Self::UnknownCoding => "unknown_coding",
            Self::RepeatedCoding => "repeated_coding",
            Self::Malformed => "malformed",
            Self::AmbiguousPath => "ambiguous_path",
            Self::TraceRefused => "trace",
            Self::TwoCredentials => "two_credentials",
            Self::MalformedCredential => "malformed_credential",
            Self::NominatedCredential => "nominated_credential",
            Self::NominatedIdentity => "nominated_identity",
            Self::UnreadableBody => "unreadable_body",
            Self::BodyTooLarge => "body_too_large",
            Self::EncodedBody => "encoded_body",
            Self::ReadAheadFull => "read_ahead_full",
            Self::UnknownDocument { .. } => "unknown_document",
            Self::Unverifiable(_) => "unverifiable",
            Self::KeysMissing => "keys_missing",
            Self::KeyPending => "key_pending",
            Self::Unconfirmed => "unconfirmed",
            Self::Syncing => "syncing",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked {
                cause: Cause::Unknown,
                ..
            } => "unknown_issue",
            Self::Revoked { .. } => "revoked",
            Self::NoCredential => "no_credential",
            Self::NoClientKey => "no_client_key",
            Self::BadClientKey => "bad_client_key",
            Self::CrossSite => "cross_site",
            Self::AccessDenied => "access_denied",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::TooManyLogouts => "too_many_logouts",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotDurable => "not_durable",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::NoUpstream => "no_upstream",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }

    /// Why exactly, for the log: the flaw of a token, what it was revoked by, or which limit is reached.
    pub fn detail(self) -> Option<&'static str> {
        if let Self::Unverifiable(flaw) = self {
            return Some(flaw.name());
        }
        if let Self::Revoked { cause, .. } = self {
            return Some(cause.name());
        }
        if let Self::RateLimited { limit, .. } = self {
            return Some(limit);
        }
        None
    }

    /// Whether it is temporary: the credential can be judged later.
    pub(in crate::request) const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::KeysMissing | Self::KeyPending | Self::Unconfirmed | Self::Syncing
        )
    }

    /// Whether it is about the credentials of a request that is well formed otherwise, or about what must be read to find them.
    pub const fn is_about_credentials(self) -> bool {
        match self {
            Self::TwoCredentials
            | Self::MalformedCredential
            | Self::NominatedCredential
            | Self::UnreadableBody
            | Self::EncodedBody
            | Self::Unverifiable(_)
            | Self::KeysMissing
            | Self::KeyPending
            | Self::Unconfirmed
            | Self::Syncing
            | Self::Expired
            | Self::NotYetValid
            | Self::Revoked { .. }
            | Self::NoCredential => true,
            Self::BadHost
            | Self::BadTarget
            | Self::TargetTooLong
            | Self::HeadTooLong
            | Self::HeadTimeout
            | Self::AmbiguousLength
            | Self::UnknownCoding
            | Self::RepeatedCoding
            | Self::Malformed
            | Self::UnknownHost
            | Self::UnknownPath
            | Self::LoopDetected
            | Self::AmbiguousPath
            | Self::TraceRefused
            | Self::NominatedIdentity
            | Self::BodyTooLarge
            | Self::ReadAheadFull
            | Self::UnknownDocument { .. }
            | Self::NoClientKey
            | Self::BadClientKey
            | Self::CrossSite
            | Self::AccessDenied
            | Self::MethodNotAllowed { .. }
            | Self::TooManyLogouts
            | Self::RateLimited { .. }
            | Self::NotDurable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::NoUpstream
            | Self::QueueFull
            | Self::QueueTimeout => false,
        }
    }

    /// Whether it is about one credential, which stands somewhere.
    pub(in crate::request) const fn has_place(self) -> bool {
        matches!(
            self,
            Self::Unverifiable(_)
                | Self::KeysMissing
                | Self::KeyPending
                | Self::Expired
                | Self::NotYetValid
                | Self::Revoked { .. }
        )
    }

    /// Which claim of a token can't be read, and what stands there instead, for the log.
    pub fn claim(self) -> Option<(&'static str, &'static str)> {
        if let Self::Unverifiable(flaw) = self {
            return flaw
                .claim()
                .map(|(claim, found)| (claim.name(), found.name()));
        }
        None
    }

    /// Whether the token is at fault: the `invalid` of presets.
    pub fn is_about_token(self) -> bool {
        self.error_code() == Some(INVALID_TOKEN)
    }
}
