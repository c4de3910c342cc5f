//! The last results of token introspection.
//!
//! No logout depends on it, so entries may be dropped: then the shop is asked again.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::request::IntrospectionResponse;
use crate::clock::UnixTime;
use crate::request::answers::Refusal;
use crate::request::credential::Occasion;
use crate::request::token::{Acceptance, Confirmed, FailureWeight, Flaw, Verifier};
use crate::revocation::{Id, Identity};

/// The last introspection results of one shop.
pub struct IntrospectionCache {
    results: Cache<Id, (UnixTime, IntrospectionResult)>,
}

/// What the shop said of a token.
#[derive(Clone)]
pub(in crate::request) enum IntrospectionResult {
    /// It is active.
    Active(Arc<Confirmed>),
    /// It is inactive.
    Inactive,
    /// The shop gave no answer.
    Unavailable,
}

/// Whether the shop was asked about the tokens of this request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::request) enum Asked {
    /// Not yet.
    No,
    /// Just now.
    Yes,
}

impl IntrospectionResult {
    fn active(&self) -> Option<Arc<Confirmed>> {
        match self {
            Self::Active(confirmed) => Some(Arc::clone(confirmed)),
            Self::Inactive | Self::Unavailable => None,
        }
    }

    /// Whether the token is active; else why not.
    pub(super) fn acceptance(&self) -> Acceptance {
        match self {
            Self::Active(_) => Ok(()),
            Self::Inactive => Err((Flaw::Inactive.name(), FailureWeight::Usual)),
            Self::Unavailable => Err((Refusal::Unconfirmed.name(), FailureWeight::Telling)),
        }
    }

    /// Whether a cached result counts. At a logout the shop is asked again: the token may have become active, or another
    /// customer's, since the last answer.
    pub(in crate::request) fn counts(occasion: Occasion, asked: Asked) -> bool {
        occasion != Occasion::Logout || asked == Asked::Yes
    }
}

/// How many tokens are cached.
const ENTRIES_MAX: u64 = 100_000;

/// How long a missing answer counts: for its own request, and for later ones, so that a failing shop is not asked again at
/// once.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(2);

impl Default for IntrospectionCache {
    fn default() -> Self {
        Self {
            results: Cache::new(ENTRIES_MAX),
        }
    }
}

impl IntrospectionCache {
    /// The result for a token, if it is fresh enough.
    pub(in crate::request) fn result(
        &self,
        token: &Id,
        fresh: Duration,
        now: UnixTime,
    ) -> Option<IntrospectionResult> {
        let (at, result) = self.results.get(token)?;
        let counts = match &result {
            IntrospectionResult::Unavailable => UNAVAILABLE_FOR,
            IntrospectionResult::Active(_) | IntrospectionResult::Inactive => {
                fresh.max(UNAVAILABLE_FOR)
            }
        };
        (now.since(at) <= counts).then_some(result)
    }

    /// The last active result for a token, however old: for the operator, not for requests.
    pub(in crate::request) fn active(&self, token: &Id) -> Option<Arc<Confirmed>> {
        let (_, result) = self.results.get(token)?;
        result.active()
    }

    /// All active results.
    pub(in crate::request) fn all_active(&self) -> Vec<Arc<Confirmed>> {
        let results = self.results.iter();
        results
            .filter_map(|(_, (_, result))| result.active())
            .collect()
    }

    /// Notes that the shop gave no answer.
    pub(in crate::request) fn note_unavailable(&self, token: Id, now: UnixTime) {
        self.results
            .insert(token, (now, IntrospectionResult::Unavailable));
    }

    /// Drops the result for a token, because the shop has just issued it, perhaps to another customer.
    pub(in crate::request) fn forget(&self, token: &Id) {
        self.results.invalidate(token);
    }

    /// Stores the answer of the shop about a token.
    pub(in crate::request) fn note(
        &self,
        token: &Identity,
        response: Option<&IntrospectionResponse>,
        verifier: &Verifier,
        now: UnixTime,
    ) {
        let formers = verifier.formers().digest();
        let result = match response {
            None => IntrospectionResult::Inactive,
            Some(response) => {
                let subject = response.subject.as_deref();
                IntrospectionResult::Active(Arc::new(Confirmed {
                    identity: verifier.confirmed(token, response),
                    subject: subject.map(|subject| verifier.customer(subject)),
                    customer: subject.map(Into::into),
                    issued_at: response.issued_at,
                }))
            }
        };
        self.results.insert(token.id, (now, result));
        if verifier.formers().digest() != formers {
            self.results.invalidate(&token.id); // the names changed meanwhile: see `clear`
        }
    }

    /// Drops all results, because the names of tokens that they hold have changed.
    pub(in crate::request) fn clear(&self) {
        self.results.invalidate_all();
    }
}
