//! Requests that are only observed (`observe = true`): what would be refused for its credentials is forwarded, and told.
//!
//! Only what is about credentials is forwarded. Malformed requests are refused as ever, and so is a logout that can't be remembered
//! now: forwarded, it would be forgotten.

use std::sync::Arc;

use super::answers::{Refusal, Refused};
use super::arrived::Arrived;
use super::calls::Purpose;
use super::introspection::Asked;
use super::logout::LogoutRule;
use super::routes::{Enforce, Route};
use super::shop::{Shop, Tokens};
use super::token::Flaw;
use super::verdict::{Observed, Verdict};

impl Shop {
    /// Its routes that are only observed though it is not, or not though it is.
    pub fn otherwise_observed(&self) -> impl Iterator<Item = &Route> {
        let routes = self.routes.routes().iter().map(AsRef::as_ref);
        let is_observed = self.demand.is_observed;
        routes
            .filter(move |route: &&Route| route.demand.over(self.demand).is_observed != is_observed)
    }

    /// What is only observed, in words; `None`: nothing.
    pub fn observed_in_words(&self) -> Option<String> {
        let routes: Vec<_> = self.otherwise_observed().map(|one| &*one.name).collect();
        let routes = routes.join(", ");
        match (self.demand.is_observed, routes.as_str()) {
            (false, "") => None,
            (false, routes) => Some(format!("only observed on the routes {routes}")),
            (true, "") => Some("only observed".to_owned()),
            (true, routes) => Some(format!("only observed, except on the routes {routes}")),
        }
    }

    /// Its routes on which no credential is examined.
    pub fn unjudged_routes(&self) -> impl Iterator<Item = &Route> {
        let routes = self.routes.routes().iter().map(AsRef::as_ref);
        routes.filter(|route: &&Route| route.demand.over(self.demand).enforce == Enforce::Off)
    }
}

impl<'g> Arrived<'g, '_> {
    /// What becomes of the request after this verdict: the same, or it is forwarded as it is because it is only observed.
    pub fn observe(
        &self,
        judged: Result<Verdict<'g>, Refused<'g>>,
    ) -> Result<Verdict<'g>, Refused<'g>> {
        if !self.demand.is_observed {
            return judged;
        }
        match judged {
            Ok(Verdict::Forward {
                shop,
                tokens,
                is_demanded,
                dead_cookies,
                subject,
                ..
            }) => {
                let observed = match dead_cookies.len() {
                    0 => Observed::Forwarded,
                    cookies => Observed::WithoutCookies(cookies),
                };
                Ok(Verdict::Forward {
                    shop,
                    tokens,
                    is_demanded,
                    dead_cookies: Vec::new(),
                    subject,
                    observed: Some(observed),
                })
            }
            Ok(Verdict::Introspect(..)) if self.is_unanswered() => {
                Ok(self.forward_refused(Refusal::Unconfirmed))
            }
            Err(refused) if self.is_forwarded_all_the_same(refused.refusal) => {
                Ok(self.forward_refused(refused.refusal))
            }
            judged => judged,
        }
    }

    /// Whether a refusal of its credentials does not keep it from the shop.
    pub(super) fn is_forwarded_all_the_same(&self, refusal: Refusal) -> bool {
        self.demand.is_observed
            && match self.purpose {
                Ok(Purpose::Visit(_) | Purpose::Refresh(..)) => refusal.is_about_credentials(),
                Ok(Purpose::LogOut(_)) => self.is_observed_logout() && forgets_nothing(refusal),
                Ok(Purpose::Preflight | Purpose::Script) => false,
                Err(_) => self.is_unread_for_credentials_alone(refusal),
            }
    }

    /// Whether it is a logout at its shop and only observed. Doorward's own logout is always judged: the shop has none there.
    pub(super) fn is_observed_logout(&self) -> bool {
        let is_of_shop = |rule: &Arc<LogoutRule>| !Arc::ptr_eq(rule, &self.shop.own_logout);
        self.demand.is_observed
            && matches!(self.purpose, Ok(Purpose::LogOut(rule)) if is_of_shop(rule))
    }

    /// Whether the request could not be read, and only its credentials would have needed that: no logout is missed.
    fn is_unread_for_credentials_alone(&self, refusal: Refusal) -> bool {
        let shop: &Shop = self.shop;
        if refusal == Refusal::AmbiguousPath {
            return !shop.is_ruled(&self.view) && shop.routes.choose(&self.view).is_ok();
        }
        refusal.is_about_credentials() && !shop.asks_graphql(&self.view)
    }

    /// Whether the shop was asked about a token of a request that is no logout, and has not answered.
    fn is_unanswered(&self) -> bool {
        let is_logout = matches!(self.purpose, Ok(Purpose::LogOut(_)));
        self.asked == Asked::Yes && !is_logout
    }

    fn forward_refused(&self, refusal: Refusal) -> Verdict<'g> {
        Verdict::Forward {
            shop: self.shop,
            tokens: Tokens::new(),
            is_demanded: false,
            dead_cookies: Vec::new(),
            subject: None,
            observed: Some(Observed::Refused(refusal)),
        }
    }
}

/// Whether nothing is forgotten if a logout that is refused for this reason is forwarded: its token is revoked already, or it has
/// none that could be revoked.
fn forgets_nothing(refusal: Refusal) -> bool {
    if let Refusal::Unverifiable(flaw) = refusal {
        return flaw != Flaw::NoCustomer; // the logout of the others would be forgotten
    }
    matches!(refusal, Refusal::Revoked { .. } | Refusal::NoCredential)
}
