//! The places of a request that carry credentials.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};

use super::cookie::NamePattern;
use super::spelling::Spelling;
use crate::request::payload::{Pointer, is_spelling_of};
use crate::request::token::TokenKind;

/// A place of a request that carries credentials.
#[derive(Debug)]
pub struct Place {
    /// The carrier.
    pub carrier: Carrier,
    /// The kind of its tokens.
    pub kind: TokenKind,
    /// The occasions on which its value counts as a credential. A revoked one is found on all of them.
    pub at: Occasions,
    /// How its values are written.
    pub spelling: Spelling,
    /// How often it held a token.
    pub counts: PlaceCounts,
}

/// How often a place held a token or something else, since the start or the last reload.
#[derive(Debug, Default)]
pub struct PlaceCounts {
    tokens: AtomicU64,
    unreadable: AtomicU64,
    is_warned: AtomicBool,
}

/// After so many values without a token, the operator is warned about a place.
const VALUES_WITHOUT_TOKEN: u64 = 100;

impl PlaceCounts {
    /// It held a token: a JWT that verifies, or an opaque token that fits.
    pub(in crate::request) fn note_token(&self) {
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// It held something else.
    pub(in crate::request) fn note_unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it held a token.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// How often it held something else.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Whether it held many values and never a token: it is probably misconfigured.
    pub fn is_vain(&self) -> bool {
        self.tokens() == 0 && self.unreadable() >= VALUES_WITHOUT_TOKEN
    }

    /// Whether [`Self::is_vain`] is to be logged now; true once.
    pub fn is_newly_vain(&self) -> bool {
        self.is_vain() && !self.is_warned.swap(true, Ordering::Relaxed)
    }
}

/// A part of a request.
#[derive(Debug)]
pub enum Carrier {
    /// A header whose value begins with a scheme, such as `Authorization: Bearer …` (RFC 6750 section 2.1).
    Schemed {
        /// Its name.
        name: HeaderName,
        /// The schemes that carry a credential; compared without case (RFC 9110 section 11.1).
        schemes: Vec<String>,
    },
    /// A header whose whole value is the credential.
    Raw(HeaderName),
    /// A cookie.
    Cookie {
        /// Its name.
        name: NamePattern,
        /// The cookies that hold the rest of one token, in this order.
        join: Vec<NamePattern>,
    },
    /// A parameter of the query.
    Query(String),
    /// A value in a JSON body.
    Json(Pointer),
    /// A field of a form, or of a multipart body.
    Form(String),
    /// Every argument and input field of that name in GraphQL.
    GraphQl(String),
    /// What stands for `{token}` in the path of a rule.
    Path,
    /// A word of the subprotocols of a WebSocket: what stands for `*`, or what follows the name.
    Subprotocol(NamePattern),
}

/// What decides which credentials of a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A logout, the shop's or our own.
    Logout,
    /// A refresh token is exchanged for new ones.
    Refresh,
    /// Anything else.
    Visit,
}

/// Some of the occasions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasions {
    /// At logouts.
    pub logout: bool,
    /// Where tokens are refreshed.
    pub refresh: bool,
    /// Everywhere else.
    pub visit: bool,
}

impl Occasions {
    /// All of them.
    pub const ALL: Self = Self {
        logout: true,
        refresh: true,
        visit: true,
    };

    /// None of them: it is only looked up in the revocations.
    pub const NONE: Self = Self {
        logout: false,
        refresh: false,
        visit: false,
    };

    /// Logouts, and nothing else.
    pub const LOGOUT: Self = Self {
        logout: true,
        refresh: false,
        visit: false,
    };

    /// Whether this is one of them.
    pub fn include(self, occasion: Occasion) -> bool {
        match occasion {
            Occasion::Logout => self.logout,
            Occasion::Refresh => self.refresh,
            Occasion::Visit => self.visit,
        }
    }
}

impl Place {
    /// A place whose values are tokens as they stand, on every occasion.
    pub fn plain(carrier: Carrier, kind: TokenKind) -> Self {
        Self {
            carrier,
            kind,
            at: Occasions::ALL,
            spelling: Spelling::default(),
            counts: PlaceCounts::default(),
        }
    }

    /// Whether only a former configuration had this place.
    pub(in crate::request) fn is_former(&self) -> bool {
        self.at == Occasions::NONE
    }

    /// Whether its token only accompanies the customer's own one, such as a refresh token.
    pub(in crate::request) fn is_accompanying(&self) -> bool {
        self.at != Occasions::ALL
    }

    /// Whether a JWT that no key verifies counts as an opaque token, because only the shop knows it.
    pub(in crate::request) fn is_opaque_too(&self) -> bool {
        self.is_accompanying() && self.kind == TokenKind::Auto
    }

    /// Whether its token is only for logouts, such as `id_token_hint`. It may have expired (`OpenID` Connect RP-Initiated Logout
    /// 1.0 section 2).
    pub(in crate::request) fn is_hint(&self) -> bool {
        self.at == Occasions::LOGOUT
    }

    /// Whether it carries the bearer of a request, of which there may be one only (RFC 6750 section 2).
    pub(super) fn is_bearer(&self) -> bool {
        if self.is_former() {
            return false;
        }
        match &self.carrier {
            Carrier::Schemed { name, .. } | Carrier::Raw(name) => *name == AUTHORIZATION,
            Carrier::Query(_) | Carrier::Json(_) | Carrier::Form(_) => !self.is_accompanying(),
            Carrier::Cookie { .. }
            | Carrier::GraphQl(_)
            | Carrier::Path
            | Carrier::Subprotocol(_) => false,
        }
    }

    /// Whether a value is exactly one JWT, by a quick check.
    pub(super) fn is_plain_jwt(&self, value: &str) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        self.kind != TokenKind::Opaque
            && self.spelling.is_plain()
            && value.starts_with("ey")
            && value.bytes().filter(|byte| *byte == b'.').count() == 2
            && value.bytes().all(is_letter)
    }

    /// How metrics and health pages name it.
    pub fn label(&self) -> String {
        match &self.carrier {
            Carrier::Schemed { name, schemes } => format!("header {name} {}", schemes.join(" ")),
            Carrier::Raw(name) => format!("header {name}"),
            Carrier::Cookie { name, .. } => format!("cookie {name}"),
            Carrier::Query(name) => format!("query {name}"),
            Carrier::Json(pointer) => format!("body {pointer}"),
            Carrier::Form(name) => format!("form {name}"),
            Carrier::GraphQl(name) => format!("graphql {name}"),
            Carrier::Path => "path".to_owned(),
            Carrier::Subprotocol(name) => format!("subprotocol {name}"),
        }
    }
}

impl Carrier {
    /// The schemes of a header; `None`: the whole value is the credential, or it is not a header.
    pub fn schemes(&self) -> Option<&[String]> {
        if let Self::Schemed { schemes, .. } = self {
            Some(schemes)
        } else {
            None
        }
    }

    /// Whether browsers send it by themselves, also for pages of other sites.
    pub fn is_ambient(&self) -> bool {
        matches!(self, Self::Cookie { .. })
    }

    /// Whether it can only be found by reading the body.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_) | Self::GraphQl(_))
    }

    /// Whether a token is split into several cookies.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Self::Cookie { join, .. } if !join.is_empty())
    }

    /// The names of its cookies, if it is one.
    pub fn cookies(&self) -> impl Iterator<Item = &NamePattern> {
        let (first, others) = match self {
            Self::Cookie { name, join } => (Some(name), join.as_slice()),
            Self::Schemed { .. }
            | Self::Raw(_)
            | Self::Query(_)
            | Self::Json(_)
            | Self::Form(_)
            | Self::GraphQl(_)
            | Self::Path
            | Self::Subprotocol(_) => (None, &[][..]),
        };
        first.into_iter().chain(others)
    }

    /// The name of its parameter, if it is one at the top level.
    pub(in crate::request) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Query(name) | Self::Form(name) => Some(name),
            Self::Json(pointer) => pointer.only_segment(),
            Self::Schemed { .. }
            | Self::Raw(_)
            | Self::Cookie { .. }
            | Self::GraphQl(_)
            | Self::Path
            | Self::Subprotocol(_) => None,
        }
    }

    /// Whether it is a header of its own, and `name` is that header.
    pub fn is_own_header(&self, name: &HeaderName) -> bool {
        match self {
            Self::Schemed { name: own, .. } | Self::Raw(own) => is_spelling_of(name, own),
            Self::Cookie { .. }
            | Self::Query(_)
            | Self::Json(_)
            | Self::Form(_)
            | Self::GraphQl(_)
            | Self::Path
            | Self::Subprotocol(_) => false,
        }
    }

    /// The header that holds it.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Schemed { name, .. } | Self::Raw(name) => Some(name),
            Self::Cookie { .. } => Some(&COOKIE),
            Self::Subprotocol(_) => Some(&SEC_WEBSOCKET_PROTOCOL),
            Self::Query(_) | Self::Json(_) | Self::Form(_) | Self::GraphQl(_) | Self::Path => None,
        }
    }
}
