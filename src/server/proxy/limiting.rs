//! Refuses what is over a limit: of a route, or on what Doorward answers by itself.
//!
//! A request is judged first: what is refused for its token stays refused as it was, and counts for no route.

use http::request::Parts;
use log::info;
use pingora_proxy::Session;

use super::context::Context;
use super::rate_limits::BucketName;
use super::service::Proxy;
use crate::clients::{ClientNetwork, Rate, RetryAfter};
use crate::request::{Arrived, LogOut, Refusal, Refused, Request, Shop, Tokens, Verdict};

impl Proxy {
    /// The verdict, unless a limit is reached.
    pub(crate) fn within_limits<'s>(
        &self,
        session: &Session,
        context: &Context,
        arrived: &Arrived<'s, '_>,
        judged: Result<Verdict<'s>, Refused<'s>>,
    ) -> Result<Verdict<'s>, Refused<'s>> {
        let refusal = match &judged {
            Ok(Verdict::Forward { tokens, .. }) => {
                self.refuse_for_route(session, context, arrived.shop(), tokens)
            }
            Ok(Verdict::LogOut(logout)) => self.refuse_repeated(session, context, logout),
            Ok(Verdict::Preflight | Verdict::Script) => {
                let rate = arrived.shop().limits.own_paths;
                self.refuse_of_client(session, context, arrived.shop(), ("own_paths", rate))
            }
            Ok(Verdict::Introspect(..)) | Err(_) => None,
        };
        match refusal {
            Some(refusal) => Err(arrived.refuse(refusal)),
            None => judged,
        }
    }

    /// A refused request; one for a token that can't be verified says so only as often as the shop allows.
    pub(crate) fn within_failures<'s>(
        &self,
        session: &Session,
        context: &Context,
        refused: Refused<'s>,
    ) -> Refused<'s> {
        let (Refusal::Unverifiable(_), Some(shop)) = (refused.refusal, refused.shop) else {
            return refused;
        };
        let limit = ("failed_verifications", shop.limits.failed_verifications);
        match self.refuse_of_client(session, context, shop, limit) {
            Some(refusal) => Refused {
                refusal,
                words: None,
                ..refused
            },
            None => refused,
        }
    }

    fn refuse_for_route(
        &self,
        session: &Session,
        context: &Context,
        shop: &Shop,
        tokens: &Tokens,
    ) -> Option<Refusal> {
        let route = context.route()?;
        let limit = route.limit.as_ref()?;
        let client = context.snapshot.forwarding.counted_client_of(session)?;
        let request = Request::new(session.req_header(), None);
        let name = BucketName {
            shop: &shop.name,
            limit: &route.name,
            rate: limit.rate,
            by: (&limit.by, limit.by.key(&request, tokens, client)),
        };
        let admitted = self.rate_limits.admit(&name, client);
        self.refusal("limit", admitted)
    }

    /// A logout counts for its client together with its customer, so that no client keeps another one from logging out.
    fn refuse_repeated(
        &self,
        session: &Session,
        context: &Context,
        logout: &LogOut,
    ) -> Option<Refusal> {
        let rate = logout.shop.limits.logouts?;
        let client = context.snapshot.forwarding.counted_client_of(session)?;
        let name = BucketName {
            shop: &logout.shop.name,
            limit: "logouts",
            rate,
            by: (ClientNetwork::containing(client), logout.counted_by()),
        };
        let admitted = self.rate_limits.admit_alone(&name);
        self.refusal("logouts", admitted)
    }

    fn refuse_of_client(
        &self,
        session: &Session,
        context: &Context,
        shop: &Shop,
        (limit, rate): (&'static str, Option<Rate>),
    ) -> Option<Refusal> {
        let rate = rate?;
        let client = context.snapshot.forwarding.counted_client_of(session)?;
        let name = BucketName {
            shop: &shop.name,
            limit,
            rate,
            by: ClientNetwork::containing(client),
        };
        let admitted = self.rate_limits.admit(&name, client);
        self.refusal(limit, admitted)
    }

    fn refusal(&self, limit: &'static str, admitted: Result<(), RetryAfter>) -> Option<Refusal> {
        let RetryAfter(retry_after_s) = admitted.err()?;
        self.metrics.note_limit(limit);
        Some(Refusal::RateLimited {
            limit,
            retry_after_s,
        })
    }

    /// Logs a request that is over a limit: each limit once in a while.
    pub(crate) fn log_limited(&self, context: &Context, limit: &'static str, head: &Parts) {
        let shop = context.shop.as_ref().map_or("", |shop| shop.name.as_str());
        let route = context.route().map(|route| route.name.as_str());
        let thing = format!("{limit} {}", route.unwrap_or_default());
        if self.rate_limits.is_log_due(shop, thing) {
            let (request, reason, method) =
                (context.id.as_str(), "rate_limited", head.method.as_str());
            let path = context.snapshot.gate.loggable_path(head.uri.path());
            let path = path.as_ref();
            info!(request, shop, reason, detail = limit, route, status = 429, method, path; "refused; further ones are counted only");
        }
    }
}
