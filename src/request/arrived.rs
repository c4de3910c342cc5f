//! A request on its way through the gate: its shop is found, then how much of its body is needed, then the verdict.

use std::sync::Arc;

use super::answers::{ApiKind, Refusal, Refused};
use super::calls::{BodyNeed, Path, Purpose, Request, RequestView};
use super::cookie::DeadCookies;
use super::credential::{self, Credentials};
use super::gate::Gate;
use super::graphql::UnreadBody;
use super::introspection::Asked;
use super::routes::{Demand, Route};
use super::shop::Shop;
use super::token_endpoint::TokenEndpoint;
use super::verdict::Verdict;
use crate::clock::UnixTime;

/// A request whose shop is found, and whose path and purpose are read.
pub struct Arrived<'g, 'r> {
    pub(super) gate: &'g Gate,
    pub(super) shop: &'g Arc<Shop>,
    pub(super) view: RequestView<'r>,
    /// The route that it takes.
    route: Option<&'g Arc<Route>>,
    /// What it must meet: the strictest of what its routes demand under the readings of its path.
    pub(super) demand: Demand,
    pub(super) purpose: Result<Purpose<'g>, Refusal>,
    /// Whether its shop was just asked about its tokens.
    pub(super) asked: Asked,
    /// Whether it is counted already: it was judged before its body was read, or before its shop was asked.
    pub(super) is_counted: bool,
}

/// What must be read of a request's body before it is judged.
pub struct BodyPlan<'g> {
    /// Its shop.
    pub shop: &'g Arc<Shop>,
    /// How much.
    pub need: BodyNeed,
    /// The API that the request calls.
    api: ApiKind,
    /// Whether the request is forwarded although its body can't be read that far. An upload is never refused for its size
    /// where no rule is about it.
    pub passes_unread: bool,
    /// Whether it is only observed: where its body passes unread, that is told.
    pub is_observed: bool,
    /// Whether the request was judged by its head and counted: see [`Arrived::note_counted`].
    pub is_counted: bool,
}

impl<'g> BodyPlan<'g> {
    /// Refuses the request for what is wrong with its body.
    pub fn refuse(&self, refusal: Refusal) -> Refused<'g> {
        Refused::for_shop(self.shop, self.api, refusal)
    }
}

impl Gate {
    /// Finds the shop of a request, and reads its path and purpose.
    pub fn arrive<'r>(&self, request: &Request<'r>) -> Result<Arrived<'_, 'r>, Refused<'_>> {
        let path = Path::parse(request.head.uri.path());
        let shop = self.shop_of(request, &path);
        let shop = shop.map_err(Refused::without_shop)?;
        let view = RequestView::new(*request, path, shop.path_style);
        let chosen = shop.routes.choose(&view);
        if !shop.admits(request.client) {
            let api = shop.api(&view);
            return Err(Refused::for_shop(shop, api, Refusal::AccessDenied));
        }
        let demand = shop.routes.demand(&view, shop.demand);
        let purpose = chosen.and_then(|_| shop.purpose(&view, demand.enforce));
        Ok(Arrived {
            gate: self,
            shop,
            route: chosen.unwrap_or_default(),
            demand,
            view,
            purpose,
            asked: Asked::No,
            is_counted: false,
        })
    }

    /// The verdict on a request whose body is not needed, or was read.
    pub fn judge(&self, request: &Request<'_>, now: UnixTime) -> Result<Verdict<'_>, Refused<'_>> {
        let arrived = self.arrive(request)?;
        arrived.observe(arrived.judge(now))
    }
}

impl<'g> Arrived<'g, '_> {
    /// Its shop.
    pub fn shop(&self) -> &'g Arc<Shop> {
        self.shop
    }

    /// The route that it takes, if there is one for it.
    pub fn route(&self) -> Option<&'g Arc<Route>> {
        self.route
    }

    /// What must be read of its body before it is judged.
    ///
    /// Where the body can only bring further faults, the request is judged by its head first: a refused one is not read.
    pub fn body_plan(&self, now: UnixTime) -> Result<BodyPlan<'g>, Refused<'g>> {
        let of_rules = self.shop.body_need_of_rules(&self.view);
        let mut need = self.shop.body_need(&self.view, self.purpose, of_rules);
        let is_visit = matches!(self.purpose, Ok(Purpose::Visit(_)));
        let is_only_swept = is_visit && (of_rules, need) == (BodyNeed::None, BodyNeed::Sweep);
        let mut is_counted = false;
        if is_only_swept {
            match self.judge(now) {
                Ok(_) => is_counted = true,
                Err(refused) if refused.refusal.is_passing() => {}
                Err(refused) if self.is_forwarded_all_the_same(refused.refusal) => {
                    (need, is_counted) = (BodyNeed::None, true);
                }
                Err(refused) => return Err(refused),
            }
        }
        let forwards = self.shop.graphql.unread_body == UnreadBody::Forward;
        // What decides whether a request is a logout must be read.
        let is_observed = self.demand.is_observed && is_visit && of_rules != BodyNeed::Whole;
        Ok(BodyPlan {
            shop: self.shop,
            need,
            api: self.api(),
            passes_unread: forwards || need != BodyNeed::Whole || is_observed,
            is_observed,
            is_counted,
        })
    }

    /// The verdict. A request is counted once, and not before its credentials can be judged.
    pub fn judge(&self, now: UnixTime) -> Result<Verdict<'g>, Refused<'g>> {
        self.gate.honour_meanings(now);
        let judged = self.decide(now);
        let is_passing = |refused: &Refused<'_>| refused.refusal.is_passing();
        if !self.is_counted && !judged.as_ref().is_err_and(is_passing) {
            self.shop.note_judged();
        }
        judged
    }

    fn decide(&self, now: UnixTime) -> Result<Verdict<'g>, Refused<'g>> {
        let shop = self.shop;
        let client = self.view.request.client;
        if self.route.is_some_and(|route| !route.access.admits(client)) {
            return Err(self.refuse(Refusal::AccessDenied));
        }
        let purpose = self.purpose.map_err(|refusal| self.refuse(refusal))?;
        let mut aside = DeadCookies::new(self.demand.dead_cookie, shop.shares_hosts());
        let judged = match purpose {
            Purpose::Preflight => Ok(Verdict::Preflight),
            Purpose::Script => Ok(Verdict::Script),
            Purpose::Visit(_) | Purpose::Refresh(..) if purpose.is_unjudged() => {
                Ok(Verdict::forward_unjudged(shop))
            }
            Purpose::Visit(enforce) | Purpose::Refresh(_, enforce) => {
                self.judge_visit(purpose, enforce, &mut aside, now)
            }
            Purpose::LogOut(rule) => self.judge_logout(rule, &mut aside, now),
        };
        judged.map_err(|refusal| {
            let refused = self.refuse(refusal).with_words(purpose.words_for(refusal));
            let place = aside.place.filter(|_| refusal.has_place());
            refused.deleting_cookies(aside.cookies).at_place(place)
        })
    }

    /// The API that it calls.
    pub fn api(&self) -> ApiKind {
        self.shop.api(&self.view)
    }

    /// Refuses it.
    pub fn refuse(&self, refusal: Refusal) -> Refused<'g> {
        Refused::for_shop(self.shop, self.api(), refusal)
    }

    /// Its shop was asked about its tokens: the next verdict rests on what the shop said.
    pub fn note_asked(&mut self) {
        self.asked = Asked::Yes;
        self.is_counted = true;
    }

    /// It was judged by its head before its body was read ([`BodyPlan::is_counted`]): it is not counted again.
    pub fn note_counted(&mut self) {
        self.is_counted = true;
    }

    /// Whether it looks like a logout and matches no rule: a sign that a rule is missing or wrong.
    pub fn nearly_logs_out(&self) -> bool {
        self.is_judged_visit() && self.shop.looks_like_logout(&self.view)
    }

    /// Whether its credentials are judged, and it neither ends nor exchanges them.
    pub fn is_judged_visit(&self) -> bool {
        matches!(self.purpose, Ok(purpose @ Purpose::Visit(_)) if !purpose.is_unjudged())
    }

    /// The rule for calls that issue tokens, if the request is one.
    pub fn token_endpoint(&self) -> Option<&'g Arc<TokenEndpoint>> {
        self.shop.token_endpoint(&self.view)
    }

    /// Every credential that it carries, also those that do not count on this occasion.
    pub(super) fn credentials(&self, purpose: Purpose<'_>) -> Result<Credentials<'_>, Refusal> {
        let token_of_path = self.shop.token_of_path(purpose, &self.view.path);
        let occasion = purpose.occasion();
        let counts = !self.is_counted;
        credential::extract_credentials(
            &self.shop.places,
            occasion,
            &self.view,
            token_of_path,
            counts,
        )
    }
}
