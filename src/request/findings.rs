//! What a request shows an operator who asks why: what it is for, what is demanded of it, and which credentials it carries.
//!
//! It is told beside the verdict, by the same steps, and decides nothing.

use std::fmt;
use std::ptr;
use std::sync::Arc;

use super::answers::Refusal;
use super::arrived::Arrived;
use super::calls::Purpose;
use super::credential::Credential;
use super::routes::Demand;
use super::shop::Shop;
use super::token::Token;
use crate::clock::UnixTime;

/// What a request is for: the number of a rule is its place among those of its shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundPurpose {
    /// Doorward's own logout.
    OwnLogout,
    /// A logout by this rule.
    Logout(usize),
    /// A refresh by this rule.
    Refresh(usize),
    /// A CORS preflight of Doorward's own logout.
    Preflight,
    /// The script for Ecwid.
    Script,
    /// Anything else.
    Visit,
}

/// What a request shows.
#[derive(Debug)]
pub struct Findings {
    /// What it is for; a refusal, if that can't be told.
    pub purpose: Result<FoundPurpose, Refusal>,
    /// What it must meet.
    pub demand: Demand,
    /// The rule for calls that issue tokens which it fits.
    pub token_endpoint: Option<usize>,
    /// Whether it looks like a logout and matches no rule.
    pub is_near_miss: bool,
    /// Its credentials; a refusal, if they can't be told from each other.
    pub credentials: Result<Vec<FoundCredential>, Refusal>,
}

/// A credential of a request.
pub struct FoundCredential {
    /// The number of its place among those of its shop; `None`: a rule finds it in the path.
    pub place: Option<usize>,
    /// Its place in words.
    pub label: String,
    /// Whether it counts on this occasion. Otherwise it is only looked up in the revocations.
    pub counts: bool,
    /// Whether its fault is ignored, because other servers read it differently or another issuer signed it.
    pub is_ignored: bool,
    /// What it is, or why it is refused.
    pub token: Result<Token, Refusal>,
    /// Why it is refused though it verifies: it is revoked, or out of its time.
    pub refusal: Option<Refusal>,
    /// Its text, which is never printed.
    pub text: String,
}

impl fmt::Debug for FoundCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoundCredential({})", self.label)
    }
}

impl Shop {
    /// Refuses a token by its times, where the shop says so and no route does otherwise.
    pub fn refuse_out_of_time(&self, token: &Token, now: UnixTime) -> Result<(), Refusal> {
        self.demand.enforce.refuse_untimely(token, now)
    }
}

impl Arrived<'_, '_> {
    /// What it shows.
    pub fn findings(&self, now: UnixTime) -> Findings {
        let endpoint = self.token_endpoint();
        let endpoint = endpoint.and_then(|taken| {
            let mut endpoints = self.shop.token_endpoints.iter();
            endpoints.position(|one| Arc::ptr_eq(one, taken))
        });
        Findings {
            purpose: self.purpose.map(|purpose| self.found_purpose(purpose)),
            demand: self.demand,
            token_endpoint: endpoint,
            is_near_miss: self.nearly_logs_out(),
            credentials: self.found_credentials(now),
        }
    }

    fn found_purpose(&self, purpose: Purpose<'_>) -> FoundPurpose {
        match purpose {
            Purpose::LogOut(taken) => {
                let mut rules = self.shop.logouts.iter();
                let number = rules.position(|rule| Arc::ptr_eq(rule, taken));
                number.map_or(FoundPurpose::OwnLogout, FoundPurpose::Logout)
            }
            Purpose::Refresh(taken, _) => {
                let mut rules = self.shop.refreshes.iter();
                let number = rules.position(|rule| ptr::eq(rule, taken));
                FoundPurpose::Refresh(number.unwrap_or_default())
            }
            Purpose::Preflight => FoundPurpose::Preflight,
            Purpose::Script => FoundPurpose::Script,
            Purpose::Visit(_) => FoundPurpose::Visit,
        }
    }

    fn found_credentials(&self, now: UnixTime) -> Result<Vec<FoundCredential>, Refusal> {
        let purpose = self.purpose?;
        if purpose.is_unjudged() {
            return Ok(Vec::new());
        }
        let occasion = purpose.occasion();
        let credentials = self.credentials(purpose)?;
        let found = credentials.iter().map(|one| {
            let counts = one.counts_at(occasion);
            self.found_credential(one, counts, now)
        });
        Ok(found.collect())
    }

    fn found_credential(
        &self,
        credential: &Credential<'_>,
        counts: bool,
        now: UnixTime,
    ) -> FoundCredential {
        let token = self.shop.token(credential, true, now);
        let refusal = token.as_ref().ok().and_then(|token| {
            let revoked = self.gate.refuse_revoked(self.shop, token);
            let judged = revoked.and_then(|()| self.demand.enforce.refuse_untimely(token, now));
            judged.err()
        });
        let fault = token.as_ref().err().copied();
        let mut places = self.shop.places.iter();
        FoundCredential {
            place: places.position(|place| ptr::eq(place, credential.place)),
            label: credential.place.label(),
            counts,
            is_ignored: fault.is_some_and(|fault| credential.is_ignored(fault, counts)),
            token,
            refusal,
            text: credential.text.clone().into_owned(),
        }
    }
}
