//! What a path demands of its visitors.

use super::flaw::Flaw;
use super::path::{Path, PathStyle};
use super::path_pattern::PathPattern;
use super::refusal::Refusal;
use super::token::Token;
use crate::clock::UnixTime;
use std::time::Duration;

/// How strictly a route looks at credentials, from the laxest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforce {
    /// Not at all.
    Off,
    /// What is revoked or can't be verified is refused. The default everywhere.
    #[default]
    Revoked,
    /// Also what has expired or is not yet good.
    Valid,
    /// Also who has no credential.
    Required,
}

/// Paths with a demand.
#[derive(Debug)]
pub struct Route {
    /// Which paths.
    pub paths: Vec<PathPattern>,
    /// What they demand.
    pub enforce: Enforce,
}

impl Route {
    /// Whether one of the readings of a path is meant.
    pub fn claims(&self, path: &Path<'_>, style: PathStyle) -> bool {
        is_meant(&self.paths, path, style)
    }
}

/// Whether any pattern matches any reading.
pub(super) fn is_meant(patterns: &[PathPattern], path: &Path<'_>, style: PathStyle) -> bool {
    let meant = |reading: &str| {
        patterns
            .iter()
            .any(|pattern| pattern.matches(reading, style))
    };
    path.readings().any(meant)
}

impl Enforce {
    /// Whether a visitor must bring a credential.
    pub(super) fn needs_credential(self) -> bool {
        self == Self::Required
    }

    /// Judges the times of a token that is not revoked.
    pub(super) fn admit_token(
        self,
        token: &Token,
        leeway: Duration,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        match self {
            Self::Off | Self::Revoked => Ok(()),
            Self::Valid | Self::Required => refuse_untimely(token, leeway, now),
        }
    }
}

/// Standards 51 and 53: before `exp`, not before `nbf`, clocks differing by at most the leeway.
fn refuse_untimely(token: &Token, leeway: Duration, now: UnixTime) -> Result<(), Refusal> {
    let token = match token {
        Token::Verified(token) => token,
        Token::Stranger(_) => return Err(Refusal::Unverifiable(Flaw::Stranger)),
        Token::Confirmed(_) | Token::Opaque(_) => return Ok(()), // they do not say
    };
    if is_expired(token.expires_at, leeway, now) {
        return Err(Refusal::Expired);
    }
    let begins_later = |begin| now.plus(leeway) < begin;
    if token.not_before.is_some_and(begins_later) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// Whether a token that ends then is over.
pub(super) fn is_expired(expires_at: Option<UnixTime>, leeway: Duration, now: UnixTime) -> bool {
    expires_at.is_some_and(|end| end.plus(leeway) <= now)
}
