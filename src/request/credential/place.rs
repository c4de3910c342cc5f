//! Where a credential may travel, and what it is taken for there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};

use super::cookie::NamePattern;
use super::spelling::Spelling;
use crate::request::payload::{Pointer, is_spelling_of};
use crate::request::token::TokenKind;

/// Where a credential may travel, and what it is taken for.
#[derive(Debug)]
pub struct Place {
    /// The carrier.
    pub carrier: Carrier,
    /// What its value is taken for.
    pub kind: TokenKind,
    /// On which occasions it counts as a credential. A dead one is found on all of them.
    pub at: Occasions,
    /// How its values are written.
    pub spelling: Spelling,
    /// What it held.
    pub counts: PlaceCounts,
}

/// How often a place held a token or something else, since the start or the last reload.
#[derive(Debug, Default)]
pub struct PlaceCounts {
    tokens: AtomicU64,
    unreadable: AtomicU64,
    is_warned: AtomicBool,
}

/// After so many values without a token a place seems to protect nothing.
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

    /// Whether it held many values, and never a token: it seems to protect nothing.
    pub fn is_vain(&self) -> bool {
        self.tokens() == 0 && self.unreadable() >= VALUES_WITHOUT_TOKEN
    }

    /// Whether that is to be told now; once.
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

/// What a request is about, as far as it decides which credentials count.
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

    /// None of them: it can only be found dead.
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

    /// Whether tokens stood here under a former configuration only.
    pub(in crate::request) fn is_former(&self) -> bool {
        self.at == Occasions::NONE
    }

    /// Whether what it carries only accompanies the customer's own token, such as a refresh token.
    pub(in crate::request) fn is_accompanying(&self) -> bool {
        self.at != Occasions::ALL
    }

    /// Whether a JWT that no key here can judge is taken for an opaque token: the shop alone knows it.
    pub(in crate::request) fn is_opaque_too(&self) -> bool {
        self.is_accompanying() && self.kind == TokenKind::Auto
    }

    /// Whether it names a token for a logout alone, such as `id_token_hint`: that one may have expired
    /// (`OpenID` Connect RP-Initiated Logout 1.0 section 2).
    pub(in crate::request) fn is_hint(&self) -> bool {
        self.at == Occasions::LOGOUT
    }

    /// Whether it carries the request's bearer: of these a request may use one only (RFC 6750 section 2).
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

    /// Whether a value is nothing but one JWT, by a quick look.
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
    /// The schemes behind which a header carries it; `None`: it carries it bare, or is no header.
    pub fn schemes(&self) -> Option<&[String]> {
        if let Self::Schemed { schemes, .. } = self {
            Some(schemes)
        } else {
            None
        }
    }

    /// Whether a browser sends it by itself, also for a foreign page.
    pub fn is_ambient(&self) -> bool {
        matches!(self, Self::Cookie { .. })
    }

    /// Whether it can only be found by reading the body.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_) | Self::GraphQl(_))
    }

    /// Whether one token of it stands in several cookies.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Self::Cookie { join, .. } if !join.is_empty())
    }

    /// The cookies that it stands in, if it is one.
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

    /// The name of the parameter that it is, if it is one at the top of what carries it.
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

    /// The header that it is, or stands in.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Schemed { name, .. } | Self::Raw(name) => Some(name),
            Self::Cookie { .. } => Some(&COOKIE),
            Self::Subprotocol(_) => Some(&SEC_WEBSOCKET_PROTOCOL),
            Self::Query(_) | Self::Json(_) | Self::Form(_) | Self::GraphQl(_) | Self::Path => None,
        }
    }
}
