//! The settings of tokens: how they are verified, where their claims stand, how long they live.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::claims::Claims;
use crate::request::credential::token_in;
use crate::request::introspection::IntrospectionRequest;
use crate::request::payload::Pointer;

/// What a credential is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// A JWT: anything else is refused.
    Jwt,
    /// Opaque: named by its digest only.
    Opaque,
    /// A JWT if it has the shape of one, otherwise opaque.
    #[default]
    Auto,
}

/// The settings of a shop's tokens.
#[derive(Debug)]
pub struct TokenSettings {
    /// The domain in which names of tokens are unique: the shop's name, or one that several shops share.
    pub token_domain: String,
    /// What a bearer is taken for.
    pub kind: TokenKind,
    /// The algorithms that are accepted, whatever a token says.
    pub algorithms: Vec<Algorithm>,
    /// The issuers that a token may name; empty: any issuer with the key.
    pub issuers: Vec<String>,
    /// The `kid`s that are accepted; empty: any.
    pub key_ids: Vec<String>,
    /// The audiences of which it must name one; empty: any.
    pub audiences: Vec<String>,
    /// Where the claims stand.
    pub claims: Claims,
    /// The claims that a token must have to be revoked by a customer. One without them is shared by all visitors.
    pub revocable_with: Vec<Pointer>,
    /// How far clocks may differ when a token expires or begins.
    pub leeway: Duration,
    /// How long after its issue a token can still be exchanged for a new one.
    pub refresh_window: Duration,
    /// The longest life of a token that does not say when it expires; `None`: for ever.
    pub max_lifetime: Option<Duration>,
    /// What the shop's opaque bearers look like; `None`: anything. Others pass, but can't log out. A group `token` is their
    /// token key.
    pub opaque_pattern: Option<Regex>,
    /// Whether a JWT that can't be verified is forwarded as an opaque token.
    pub forward_unverifiable: bool,
    /// How the shop is asked about opaque tokens (token introspection); `None`: they are named by their digests only.
    pub introspection: Option<IntrospectionRequest>,
    /// How a token counts that has no issue time and no date.
    pub unknown: UnknownToken,
}

/// How a token counts that has no issue time and that no node has dated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownToken {
    /// As issued after every logout: some logins do not pass through Doorward.
    #[default]
    New,
    /// As issued before every logout: every login passes through Doorward, and would have dated it.
    Old,
}

impl TokenSettings {
    /// Settings that only name tokens: an issuer with them verifies none.
    pub(in crate::request) fn for_names_only(
        token_domain: String,
        algorithms: Vec<Algorithm>,
        issuers: Vec<String>,
        key_ids: Vec<String>,
        claims: Claims,
    ) -> Self {
        Self {
            token_domain,
            kind: TokenKind::Auto,
            algorithms,
            issuers,
            key_ids,
            audiences: Vec::new(),
            claims,
            revocable_with: Vec::new(),
            leeway: Duration::ZERO,
            refresh_window: Duration::ZERO,
            max_lifetime: None,
            opaque_pattern: None,
            forward_unverifiable: false,
            introspection: None,
            unknown: UnknownToken::default(),
        }
    }

    /// The token key of an opaque token: the part that the pattern names, or the whole text.
    pub(in crate::request) fn token_key<'t>(&self, text: &'t str) -> &'t str {
        let pattern = self.opaque_pattern.as_ref();
        let found = pattern.and_then(|pattern| token_in(pattern, text));
        found.unwrap_or(text)
    }

    /// Whether both verify and name every token alike.
    pub(in crate::request) fn is_same(&self, other: &Self) -> bool {
        let Self {
            token_domain,
            kind,
            algorithms,
            issuers,
            key_ids,
            audiences,
            claims,
            revocable_with,
            leeway,
            refresh_window,
            max_lifetime,
            opaque_pattern,
            forward_unverifiable,
            introspection: _, // it is about tokens that are not verified here
            unknown,
        } = self;
        let pattern = |pattern: &Option<Regex>| pattern.as_ref().map(Regex::to_string);
        *token_domain == other.token_domain
            && *kind == other.kind
            && *algorithms == other.algorithms
            && *issuers == other.issuers
            && *key_ids == other.key_ids
            && *audiences == other.audiences
            && *claims == other.claims
            && *revocable_with == other.revocable_with
            && *leeway == other.leeway
            && *refresh_window == other.refresh_window
            && *max_lifetime == other.max_lifetime
            && pattern(opaque_pattern) == pattern(&other.opaque_pattern)
            && *forward_unverifiable == other.forward_unverifiable
            && *unknown == other.unknown
    }

    /// Whether a token could fit both.
    pub fn overlaps(&self, other: &Self) -> bool {
        fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
            let asks_nothing = one.is_empty() || other.is_empty();
            asks_nothing || one.iter().any(|name| other.contains(name))
        }
        if self.algorithms.is_empty() || other.algorithms.is_empty() {
            return self.algorithms.is_empty() && other.algorithms.is_empty();
        }
        meet(&self.algorithms, &other.algorithms)
            && meet(&self.issuers, &other.issuers)
            && meet(&self.key_ids, &other.key_ids)
    }

    /// The pinned issuer, if there is exactly one; else empty.
    pub(in crate::request) fn only_issuer(&self) -> &str {
        match self.issuers.as_slice() {
            [only] => only.as_str(),
            [] | [_, ..] => "",
        }
    }
}

#[cfg(test)]
pub(in crate::request) fn settings_for_tests(
    token_domain: &str,
    algorithm: Algorithm,
) -> TokenSettings {
    use super::claims::{IssuedAt, TimeClaim};
    let pointer = |text| Pointer::parse(text).unwrap();
    let time = |text| TimeClaim {
        pointer: pointer(text),
        unit: None,
    };
    TokenSettings::for_names_only(
        token_domain.to_owned(),
        vec![algorithm],
        Vec::new(),
        Vec::new(),
        Claims {
            id: pointer("/jti"),
            subject: vec![pointer("/sub")],
            session: pointer("/sid"),
            expires_at: time("/exp"),
            issued_at: IssuedAt::Claim(time("/iat")),
        },
    )
}
