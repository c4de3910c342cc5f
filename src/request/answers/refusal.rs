//! Why a request is not forwarded, and the answer that says so in the shop's own shape.

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
    /// It is no request of HTTP at all.
    Malformed,
    /// No shop claims the host (RFC 9110 section 15.5.20).
    UnknownHost,
    /// Two parsers could read the path differently, and one of the readings is under a rule.
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
    /// A token whose time is over, where that matters.
    Expired,
    /// A token whose time has not come, where that matters.
    NotYetValid,
    /// A token that was logged out.
    Revoked {
        /// By what.
        cause: Cause,
        /// Which token, for the log.
        token: Id,
    },
    /// No credential where one is required.
    NoCredential,
    /// The shop's client key is missing.
    NoClientKey,
    /// The shop's client key does not look like one.
    BadClientKey,
    /// A foreign page asks for a logout with the customer's cookie.
    CrossSite,
    /// Another method than a path of Doorward's own allows (RFC 9110 section 15.5.6).
    MethodNotAllowed {
        /// The methods that it allows.
        allow: &'static str,
    },
    /// Too many logouts with credentials that can't be verified.
    TooManyLogouts,
    /// The logout is in force but not on disk.
    NotDurable,
    /// The shop can't be reached or does not answer properly.
    UpstreamFailed,
    /// The shop does not answer in time.
    UpstreamTimeout,
    /// No server of the shop has an address.
    NoUpstream,
}

/// Without its keys, a shop's token can't be told from a bad one: the request may be tried again.
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

/// What is fixed about a refusal.
struct Facts {
    status: StatusCode,
    /// The error code of the challenge (RFC 6750 section 3.1). A request without a credential has none.
    error_code: Option<&'static str>,
    name: &'static str,
    message: &'static str,
}

const INVALID_TOKEN: &str = "invalid_token";
const INVALID_REQUEST: &str = "invalid_request";

impl Refusal {
    /// One of each kind; a revoked token has two, for it has another name if it is not known when it was issued.
    pub fn examples() -> Vec<Self> {
        let token = Id::from_bytes([0; 16]);
        let revoked = |cause| Self::Revoked { cause, token };
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
            Self::AmbiguousPath,
            Self::TraceRefused,
            Self::TwoCredentials,
            Self::MalformedCredential,
            Self::NominatedCredential,
            Self::NominatedIdentity,
            Self::UnreadableBody,
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
            Self::MethodNotAllowed { allow: "POST" },
            Self::TooManyLogouts,
            Self::NotDurable,
            Self::UpstreamFailed,
            Self::UpstreamTimeout,
            Self::NoUpstream,
        ]
    }

    /// The status of the answer, where the shop does not say otherwise.
    pub const fn status(self) -> StatusCode {
        self.facts().status
    }

    /// The error code of the challenge, if it has one.
    pub const fn error_code(self) -> Option<&'static str> {
        self.facts().error_code
    }

    /// What the customer is told. Nothing of it comes from the request (standards 20).
    pub const fn message(self) -> &'static str {
        self.facts().message
    }

    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Why exactly, for the log: the flaw of a token, or what it was revoked by.
    pub fn detail(self) -> Option<&'static str> {
        if let Self::Unverifiable(flaw) = self {
            return Some(flaw.name());
        }
        if let Self::Revoked { cause, .. } = self {
            return Some(cause.name());
        }
        None
    }

    /// Whether it says nothing of the credential, which can be judged a moment later.
    pub(in crate::request) const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::KeysMissing | Self::KeyPending | Self::Unconfirmed | Self::Syncing
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

    /// Whether the token is at fault: what a preset words for a whole logout as `invalid`.
    pub fn is_about_token(self) -> bool {
        self.error_code() == Some(INVALID_TOKEN)
    }

    #[expect(clippy::too_many_lines, reason = "a table: one row a refusal")]
    const fn facts(self) -> Facts {
        const fn facts(status: StatusCode, name: &'static str, message: &'static str) -> Facts {
            Facts {
                status,
                error_code: None,
                name,
                message,
            }
        }
        const fn bad_request(name: &'static str, message: &'static str) -> Facts {
            Facts {
                error_code: Some(INVALID_REQUEST),
                ..facts(StatusCode::BAD_REQUEST, name, message)
            }
        }
        const fn bad_token(name: &'static str, message: &'static str) -> Facts {
            Facts {
                error_code: Some(INVALID_TOKEN),
                ..facts(StatusCode::UNAUTHORIZED, name, message)
            }
        }
        match self {
            Self::BadHost => facts(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "The Host header is missing or malformed",
            ),
            Self::BadTarget => facts(
                StatusCode::BAD_REQUEST,
                "bad_target",
                "The request target is malformed",
            ),
            Self::TargetTooLong => facts(
                StatusCode::URI_TOO_LONG,
                "target_too_long",
                "The request target is too long",
            ),
            Self::HeadTooLong => facts(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head_too_long",
                "The header fields are too large",
            ),
            Self::HeadTimeout => facts(
                StatusCode::REQUEST_TIMEOUT,
                "head_timeout",
                "The request did not arrive in time",
            ),
            Self::AmbiguousLength => facts(
                StatusCode::BAD_REQUEST,
                "ambiguous_length",
                "The length of the body is given in two ways",
            ),
            Self::UnknownHost => facts(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "No shop is served under this host",
            ),
            Self::UnknownCoding => facts(
                StatusCode::NOT_IMPLEMENTED,
                "unknown_coding",
                "The transfer coding is not supported",
            ),
            Self::RepeatedCoding => facts(
                StatusCode::BAD_REQUEST,
                "repeated_coding",
                "The transfer coding is malformed",
            ),
            Self::Malformed => facts(
                StatusCode::BAD_REQUEST,
                "malformed",
                "The request is malformed",
            ),
            Self::AmbiguousPath => facts(
                StatusCode::BAD_REQUEST,
                "ambiguous_path",
                "The path can be read in more than one way",
            ),
            Self::TraceRefused => facts(
                StatusCode::METHOD_NOT_ALLOWED,
                "trace",
                "TRACE is not allowed",
            ),
            Self::TwoCredentials => {
                bad_request("two_credentials", "More than one credential was sent")
            }
            Self::MalformedCredential => {
                bad_request("malformed_credential", "The credential is malformed")
            }
            Self::NominatedCredential => bad_request(
                "nominated_credential",
                "The Connection header names a credential",
            ),
            Self::NominatedIdentity => bad_request(
                "nominated_identity",
                "The Connection header names a header of the proxy",
            ),
            Self::UnreadableBody => facts(
                StatusCode::PAYLOAD_TOO_LARGE,
                "unreadable_body",
                "The body is too large to be examined",
            ),
            Self::EncodedBody => facts(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "encoded_body",
                "The content encoding is not supported; send the body without one, or with gzip",
            ),
            Self::ReadAheadFull => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "read_ahead_full",
                "Too many requests are being read; try again",
            ),
            Self::UnknownDocument { .. } => {
                facts(StatusCode::OK, "unknown_document", "PersistedQueryNotFound")
            }
            Self::Unverifiable(_) => bad_token("unverifiable", "The token is invalid"),
            Self::KeysMissing => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "keys_missing",
                "Tokens can't be verified yet; try again",
            ),
            Self::KeyPending => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "key_pending",
                "The token can't be verified yet; try again",
            ),
            Self::Unconfirmed => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "unconfirmed",
                "The token can't be verified now; try again",
            ),
            Self::Syncing => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "syncing",
                "The service is not ready; try again",
            ),
            Self::Expired => bad_token("expired", "The token has expired"),
            Self::NotYetValid => bad_token("not_yet_valid", "The token is not valid yet"),
            Self::Revoked {
                cause: Cause::Unknown,
                ..
            } => bad_token("unknown_issue", "The token was revoked"),
            Self::Revoked { .. } => bad_token("revoked", "The token was revoked"),
            Self::NoCredential => facts(
                StatusCode::UNAUTHORIZED,
                "no_credential",
                "Authentication is required",
            ),
            Self::NoClientKey => facts(
                StatusCode::UNAUTHORIZED,
                "no_client_key",
                "A client key is required",
            ),
            Self::BadClientKey => facts(
                StatusCode::FORBIDDEN,
                "bad_client_key",
                "The client key is invalid",
            ),
            Self::CrossSite => facts(
                StatusCode::FORBIDDEN,
                "cross_site",
                "Logging out is only possible from the shop itself",
            ),
            Self::MethodNotAllowed { .. } => facts(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
            ),
            Self::TooManyLogouts => facts(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_logouts",
                "Too many logouts",
            ),
            Self::NotDurable => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_durable",
                "The logout could not be stored; try again",
            ),
            Self::UpstreamFailed => facts(
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "The shop can't be reached",
            ),
            Self::UpstreamTimeout => facts(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The shop does not answer",
            ),
            Self::NoUpstream => facts(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_upstream",
                "The shop is not available; try again",
            ),
        }
    }
}
