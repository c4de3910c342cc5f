//! The purpose of a request, by its method, its path and the mutations that it executes.

use std::sync::Arc;

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};

use super::call::Call;
use super::paths::{Path, PathPattern};
use super::refresh::RefreshRule;
use super::request_view::RequestView;
use crate::request::answers::{Refusal, Words};
use crate::request::credential::{Carrier, Occasion};
use crate::request::graphql::UnknownHash;
use crate::request::logout::LogoutRule;
use crate::request::routes::Enforce;
use crate::request::shop::Shop;

/// The purpose of a request.
#[derive(Clone, Copy)]
pub(in crate::request) enum Purpose<'g> {
    /// To log out.
    LogOut(&'g Arc<LogoutRule>),
    /// To ask, as a browser, whether a page of another origin may log out here.
    Preflight,
    /// To read the script for Ecwid.
    Script,
    /// To exchange a refresh token.
    Refresh(&'g RefreshRule, Enforce),
    /// Anything else.
    Visit(Enforce),
}

impl<'g> Purpose<'g> {
    /// The occasion, which decides which credentials count.
    pub(in crate::request) fn occasion(self) -> Occasion {
        match self {
            Self::LogOut(_) | Self::Preflight => Occasion::Logout,
            Self::Refresh(..) => Occasion::Refresh,
            Self::Script | Self::Visit(_) => Occasion::Visit,
        }
    }

    /// Whether its route says that credentials are not judged.
    pub(in crate::request) fn is_unjudged(self) -> bool {
        match self {
            Self::Visit(enforce) | Self::Refresh(_, enforce) => enforce == Enforce::Off,
            Self::LogOut(_) | Self::Preflight | Self::Script => false,
        }
    }

    /// The rule's own words for a refusal.
    pub(in crate::request) fn words_for(self, refusal: Refusal) -> Option<&'g Words> {
        match self {
            Self::LogOut(rule) => rule.words_for(refusal),
            Self::Refresh(rule, _) => rule.words_for(refusal),
            Self::Preflight | Self::Script | Self::Visit(_) => None,
        }
    }
}

impl Shop {
    /// Whether a rule depends on the mutations of a request.
    pub(in crate::request) fn asks_graphql(&self, view: &RequestView<'_>) -> bool {
        self.calls().any(|call| call.asks_graphql(view))
    }

    /// Reads the GraphQL of a request if a rule or a credential needs it, and refuses a request where that is not possible.
    fn read_graphql(&self, view: &RequestView<'_>) -> Result<(), Refusal> {
        let mut carriers = self.places.iter().map(|place| &place.carrier);
        let has_credentials = carriers.any(|one| matches!(one, Carrier::GraphQl(_)));
        let is_ruled = self.asks_graphql(view);
        if !is_ruled && !has_credentials {
            return Ok(());
        }
        let settings = &self.graphql;
        let reading = view.read_graphql(&settings.learnt);
        reading.refuse_unread(is_ruled, has_credentials, settings.unread_body)?;
        let asks = is_ruled && settings.unknown_hash == UnknownHash::Ask;
        if asks && reading.has_unknown(|id| self.names_document(id)) {
            let batch = reading.batch();
            return Err(Refusal::UnknownDocument { batch });
        }
        Ok(())
    }

    /// Whether a rule names this stored document.
    fn names_document(&self, id: &str) -> bool {
        let mut conditions = self.calls().filter_map(|call| call.graphql.as_ref());
        conditions.any(|condition| condition.names_document(id))
    }

    /// The purpose of a request, by its method, path and query, and the mutations that it executes.
    pub(in crate::request) fn purpose(
        &self,
        view: &RequestView<'_>,
        enforce: Enforce,
    ) -> Result<Purpose<'_>, Refusal> {
        let method = &view.request.head.method;
        self.refuse_ambiguous(view)?;
        self.read_graphql(view)?;
        if self.is_own(&self.own_logout.call.paths, &view.path) {
            return match *method {
                Method::POST => Ok(Purpose::LogOut(&self.own_logout)),
                Method::OPTIONS if asks_preflight(view) => Ok(Purpose::Preflight),
                _ => Err(Refusal::MethodNotAllowed { allow: "POST" }),
            };
        }
        if self.is_own(&self.own_scripts, &view.path) {
            return match *method {
                Method::GET | Method::HEAD => Ok(Purpose::Script),
                _ => Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }),
            };
        }
        if asks_preflight(view) {
            return Ok(Purpose::Visit(enforce.min(Enforce::Revoked)));
        }
        let mut logouts = self.logouts.iter();
        if let Some(rule) = logouts.find(|rule| rule.call.claims(view)) {
            return Ok(Purpose::LogOut(rule));
        }
        let mut refreshes = self.refreshes.iter();
        let refresh = refreshes.find(|rule| rule.call.claims(view));
        Ok(match refresh {
            Some(rule) => Purpose::Refresh(rule, enforce),
            None => Purpose::Visit(enforce),
        })
    }

    /// Whether a path is one of Doorward's own, which are exact: at the root, and in the folders that the shop claims.
    fn is_own(&self, own: &[PathPattern], path: &Path<'_>) -> bool {
        let mut own = own.iter();
        own.any(|pattern| {
            path.readings()
                .any(|reading| pattern.is_written(reading, self.path_style))
        })
    }

    /// D9: refuses an ambiguous path that may match a rule for the shop and not for us.
    fn refuse_ambiguous(&self, view: &RequestView<'_>) -> Result<(), Refusal> {
        if !view.path.is_ambiguous() {
            return Ok(());
        }
        if self.is_ruled(view) || self.routes.could_demand(view) {
            Err(Refusal::AmbiguousPath)
        } else {
            Ok(())
        }
    }

    /// Whether a rule for logouts or refreshes may mean one of the readings of a path.
    pub(in crate::request) fn is_ruled(&self, view: &RequestView<'_>) -> bool {
        let mut calls = self.calls().chain([&self.own_logout.call]);
        view.path.has_too_many_readings() || calls.any(|call| call.is_under(view))
    }

    /// The token in a path by the rule of its purpose; for a visit by any rule, because it may be revoked.
    pub(in crate::request) fn token_of_path<'p>(
        &self,
        purpose: Purpose<'_>,
        path: &'p Path<'_>,
    ) -> Option<&'p str> {
        let captured = |call: &Call| call.captured_token(path, self.path_style);
        match purpose {
            Purpose::LogOut(rule) => captured(&rule.call),
            Purpose::Refresh(rule, _) => captured(&rule.call),
            Purpose::Preflight | Purpose::Script => None,
            Purpose::Visit(_) => self.calls().find_map(captured),
        }
    }
}

/// Whether a request is a CORS preflight. It carries no credentials (Fetch, section 4.8), so it is forwarded even where a route
/// requires one.
fn asks_preflight(view: &RequestView<'_>) -> bool {
    let head = view.request.head;
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && !view.names_method()
}
