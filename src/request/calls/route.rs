//! What a path demands of a request.

use super::call::BodyNeed;
use super::condition::{Condition, ConditionPlace};
use super::paths::{Fit, Leniency, PathPattern};
use super::request_view::RequestView;
use crate::clock::UnixTime;
use crate::request::answers::Refusal;
use crate::request::token::{Flaw, Token};
use std::time::Duration;

/// How strictly a route looks at credentials; the later, the stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforce {
    /// Not at all.
    Off,
    /// What is revoked or can't be verified is refused. The default everywhere.
    #[default]
    Revoked,
    /// Also what has expired or is not yet valid.
    Valid,
    /// Also a request without a credential.
    Required,
}

/// Paths with a demand.
#[derive(Debug)]
pub struct Route {
    /// Which paths.
    pub paths: Vec<PathPattern>,
    /// The conditions under which they demand it.
    pub conditions: Vec<Condition>,
    /// What they demand.
    pub enforce: Enforce,
}

impl Route {
    /// Whether one of the readings of a request's path is meant.
    pub(in crate::request) fn is_at(&self, view: &RequestView<'_>) -> bool {
        let mut readings = view.path.readings();
        readings.any(|reading| self.fit_of_path(reading, view) != Fit::No)
    }

    /// Whether the body of a request decides what is demanded of it.
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

/// What the routes of a shop demand of a request.
///
/// Each reading of its path is under the first route that it fits to the letter, or under none; and under every route
/// before that one which it fits only to a lenient server. The strictest of all these counts: so a route that relaxes
/// what is demanded counts only where nothing else could be meant, and one that demands more wherever it could be.
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

    /// Judges the times of a token that is not revoked.
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
        Token::Confirmed(_) | Token::Opaque(_) => return Ok(()), // they do not say
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

/// Whether a token with this end has expired.
pub(in crate::request) fn is_expired(
    expires_at: Option<UnixTime>,
    leeway: Duration,
    now: UnixTime,
) -> bool {
    expires_at.is_some_and(|end| end.plus(leeway) <= now)
}
