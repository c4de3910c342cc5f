//! How strictly a route judges credentials.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::request::answers::Refusal;
use crate::request::token::{Flaw, Token};

/// How strictly a route judges credentials; later variants are stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforce {
    /// Not at all.
    Off,
    /// Revoked and unverifiable tokens are refused. The default.
    #[default]
    Revoked,
    /// Also expired tokens, and those that are not yet valid.
    Valid,
    /// Also requests without a credential.
    Required,
}

impl Enforce {
    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Revoked => "revoked",
            Self::Valid => "valid",
            Self::Required => "required",
        }
    }

    /// Whether a request must carry a credential.
    pub(in crate::request) fn needs_credential(self) -> bool {
        self == Self::Required
    }

    /// Refuses a token by its times, where the route says so.
    pub(in crate::request) fn refuse_untimely(
        self,
        token: &Token,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if self.judges_times() {
            refuse_untimely(token, now)
        } else {
            Ok(())
        }
    }

    /// Whether the times of a token are judged.
    pub(in crate::request) fn judges_times(self) -> bool {
        self >= Self::Valid
    }
}

/// Standards 51 and 53: before `exp`, not before `nbf`, clocks differing by at most the leeway.
fn refuse_untimely(token: &Token, now: UnixTime) -> Result<(), Refusal> {
    let token = match token {
        Token::Verified(token) => token,
        Token::Inactive(_) => return Err(Refusal::Unverifiable(Flaw::Inactive)),
        Token::Confirmed(_) | Token::Opaque(_) => return Ok(()), // their times are not known
    };
    let leeway = token.settings.leeway;
    if is_expired(token.expires_at, leeway, now) {
        return Err(Refusal::Expired);
    }
    let begins_later = |begin| now.plus(leeway) < begin;
    if token.not_before.is_some_and(begins_later) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// Whether an end has passed, with the leeway.
pub(in crate::request) fn is_expired(
    expires_at: Option<UnixTime>,
    leeway: Duration,
    now: UnixTime,
) -> bool {
    expires_at.is_some_and(|end| end.plus(leeway) <= now)
}
