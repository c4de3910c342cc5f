//! What a path requires of credentials.

use super::call::BodyNeed;
use super::condition::{Condition, ConditionPlace};
use super::paths::{Fit, Leniency, PathPattern};
use super::request_view::RequestView;
use crate::clock::UnixTime;
use crate::request::answers::Refusal;
use crate::request::token::{Flaw, Token};
use std::time::Duration;

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

/// Paths, and how credentials are judged there.
#[derive(Debug)]
pub struct Route {
    /// The paths.
    pub paths: Vec<PathPattern>,
    /// The conditions under which it applies.
    pub conditions: Vec<Condition>,
    /// How strictly credentials are judged.
    pub enforce: Enforce,
}

impl Route {
    /// Whether a path matches any reading of a request's path.
    pub(in crate::request) fn is_at(&self, view: &RequestView<'_>) -> bool {
        let mut readings = view.path.readings();
        readings.any(|reading| self.fit_of_path(reading, view) != Fit::No)
    }

    /// Whether the body of a request decides if it applies.
    pub(in crate::request) fn body_need(&self, view: &RequestView<'_>) -> BodyNeed {
        let reads = |one: &Condition| matches!(one.at, ConditionPlace::Body(_));
        if self.conditions.iter().any(reads) && self.is_at(view) {
            BodyNeed::Whole
        } else {
            BodyNeed::None
        }
    }

    fn fit(&self, reading: &str, view: &RequestView<'_>) -> Fit {
        let path = self.fit_of_path(reading, view);
        if path == Fit::No {
            return path;
        }
        let conditions = self.conditions.iter();
        let worst = conditions
            .map(|one| one.fit(&view.request, view.style))
            .min();
        worst.map_or(path, |worst| path.min(worst))
    }

    fn fit_of_path(&self, reading: &str, view: &RequestView<'_>) -> Fit {
        let patterns = self.paths.iter();
        let fits = patterns.map(|pattern| pattern.fit(reading, view.style, Leniency::Page));
        fits.max().unwrap_or(Fit::No)
    }
}

/// How strictly the routes of a shop judge a request.
///
/// For each reading of its path, the first route counts that it fits as written, and every earlier route that it fits leniently.
/// The strictest of all these is used: so a laxer route applies only where no other can be meant, and a stricter one wherever it
/// may be meant.
pub(in crate::request) fn enforcement(routes: &[Route], view: &RequestView<'_>) -> Enforce {
    if routes.is_empty() {
        return Enforce::default();
    }
    let unresolved = view.path.unresolved();
    let readings = view
        .path
        .readings()
        .chain(unresolved.iter().map(String::as_str));
    let demands = readings.map(|reading| enforcement_for(routes, reading, view));
    demands.max().unwrap_or_default()
}

fn enforcement_for(routes: &[Route], reading: &str, view: &RequestView<'_>) -> Enforce {
    let mut strictest = Enforce::Off;
    for route in routes {
        match route.fit(reading, view) {
            Fit::No => {}
            Fit::Leniently => strictest = strictest.max(route.enforce),
            Fit::AsWritten => return strictest.max(route.enforce),
        }
    }
    strictest.max(Enforce::default())
}

impl Enforce {
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
        match self {
            Self::Off | Self::Revoked => Ok(()),
            Self::Valid | Self::Required => refuse_untimely(token, now),
        }
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
