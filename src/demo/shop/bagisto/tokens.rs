//! Whose a bearer of a Bagisto shop is, and how it ends.

use std::sync::Arc;

use parking_lot::Mutex;

use super::sanctum::{Lookup, Sanctum};
use crate::demo::shop::api::ShopState;
use crate::demo::shop::customers::Customer;
use crate::demo::shop::ledger::TokenIdentity;

/// The opaque tokens of the code and, where the shop knows them too, the JWTs of the documentation.
pub(super) struct BearerTokens {
    state: Arc<ShopState>,
    sanctum: Sanctum,
    knows_jwts: bool,
    /// How careless the places are that ask the table themselves.
    fallback: Mutex<Lookup>,
}

impl BearerTokens {
    pub(super) fn of_both_kinds(state: Arc<ShopState>) -> Self {
        Self {
            knows_jwts: true,
            ..Self::opaque(state, Lookup::Secret)
        }
    }

    pub(super) fn opaque(state: Arc<ShopState>, fallback: Lookup) -> Self {
        Self {
            state,
            sanctum: Sanctum::default(),
            knows_jwts: false,
            fallback: Mutex::new(fallback),
        }
    }

    pub(super) fn fall_back_on(&self, lookup: Lookup) {
        *self.fallback.lock() = lookup;
    }

    pub(super) fn issue_opaque(&self, customer: &Customer) -> String {
        self.sanctum.issue(&self.state.mint, customer)
    }

    pub(super) fn owner(&self, token: &str) -> Option<Customer> {
        match self.identity(token) {
            Some(identity) if self.state.ledger.covers(&identity) => None,
            Some(identity) => self.state.customers.with_subject(&identity.subject),
            None => self.sanctum.owner(token, Lookup::Secret),
        }
    }

    /// As `owner`, for the places of the code that look a row up themselves.
    pub(super) fn presumed_owner(&self, token: &str) -> Option<Customer> {
        let presumed = || self.sanctum.owner(token, *self.fallback.lock());
        self.owner(token).or_else(presumed)
    }

    /// Ends this token and no other.
    pub(super) fn end(&self, token: &str) {
        let ledger = &self.state.ledger;
        match self.identity(token) {
            Some(identity) => ledger.revoke_token(&identity),
            None => self
                .sanctum
                .revoke(token, *self.fallback.lock(), ledger.mood()),
        }
    }

    /// Ends every token of the customer, where the token says whose it is.
    pub(super) fn end_all(&self, token: &str) {
        match self.identity(token) {
            Some(identity) => {
                let now = self.state.mint.clock.now();
                self.state.ledger.revoke_subject(&identity, now);
            }
            None => self.end(token),
        }
    }

    fn identity(&self, token: &str) -> Option<TokenIdentity> {
        let claims = self.state.mint.verify(token).filter(|_| self.knows_jwts)?;
        Some(TokenIdentity::from_claims(token, &claims, "/jti", "/sub"))
    }
}
