//! How much of a request's body must be read before it is judged.

use http::header::CONTENT_LENGTH;

use super::call::BodyNeed;
use super::purpose::Purpose;
use super::request::Request;
use super::request_view::RequestView;
use crate::request::answers::Refusal;
use crate::request::credential::{Carrier, Occasion, Place};
use crate::request::payload::content_type;
use crate::request::shop::{Examine, Shop};

impl Shop {
    /// How much of a request's body must be read: what rules `need`, or more if it may hold credentials.
    pub(in crate::request) fn body_need(
        &self,
        view: &RequestView<'_>,
        purpose: Result<Purpose<'_>, Refusal>,
        need: BodyNeed,
    ) -> BodyNeed {
        let is_unjudged = purpose.is_ok_and(Purpose::is_unjudged);
        if need == BodyNeed::Whole || !self.has_places_in_body() || is_unjudged {
            return need;
        }
        let request = &view.request;
        let occasion = purpose.map_or(Occasion::Visit, Purpose::occasion);
        let is_said = occasion == Occasion::Logout && self.has_bearer_header(request);
        let counts = |place: &Place| {
            let is_needed = !(is_said && self.is_bearer_too(place));
            place.carrier.is_in_body() && place.at.include(occasion) && is_needed
        };
        if self.places.iter().any(counts) {
            BodyNeed::Whole
        } else if self.sweeps_bodies() && is_text(request) {
            need.max(BodyNeed::Sweep)
        } else {
            need
        }
    }

    /// How much of a request's body is needed to find the rules that match it.
    pub(in crate::request) fn body_need_of_rules(&self, view: &RequestView<'_>) -> BodyNeed {
        let of_calls = self.calls().map(|call| call.body_need(view));
        // What hands out tokens is recognised as far as its body can be read.
        let of_token_endpoints = self
            .token_endpoints
            .iter()
            .map(|rule| rule.call.body_need(view));
        let of_token_endpoints = of_token_endpoints.map(|need| need.min(BodyNeed::Sweep));
        let need = of_calls
            .chain(of_token_endpoints)
            .chain([self.routes.body_need(view), self.body_need_of_hint(view)]);
        need.max().unwrap_or_default()
    }

    /// Whether a header of a request carries the shop's bearer.
    fn has_bearer_header(&self, request: &Request<'_>) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let mut schemed = carriers.filter(|carrier| carrier.schemes().is_some());
        let is_there = |name| request.head.headers.contains_key(name);
        schemed.any(|carrier| carrier.header().is_some_and(is_there))
    }

    /// Whether a place in the body is that of the bearer, which may also stand in the query. A logout with the bearer in a header
    /// needs no such body, however long it is.
    fn is_bearer_too(&self, place: &Place) -> bool {
        let name = place.carrier.parameter();
        name.is_some_and(|name| {
            let carries = |other: &Place| {
                matches!(&other.carrier, Carrier::Query(called) if called == name)
                    && !other.is_accompanying()
            };
            self.places.iter().any(carries)
        })
    }

    /// Whether every body is searched for revoked tokens, because some bodies carry credentials.
    pub(in crate::request) fn sweeps_bodies(&self) -> bool {
        self.examine == Examine::Everything && self.has_places_in_body()
    }

    /// Whether there is a place in bodies, or was under a former meaning.
    fn has_places_in_body(&self) -> bool {
        let in_body = |place: &Place| place.carrier.is_in_body();
        self.places.iter().any(in_body) || self.verifier.formers().places().iter().any(in_body)
    }
}

/// Whether a body may be a form or JSON by its `Content-Type`; media and streams are not. Without a type and a length it may be
/// a stream that waits for an answer.
fn is_text(request: &Request<'_>) -> bool {
    let kind = content_type(request);
    if kind.is_empty() {
        return request.head.headers.contains_key(CONTENT_LENGTH);
    }
    let words = ["json", "form", "multipart/", "text/", "graphql", "xml"];
    let streams = ["event-stream", "ndjson", "json-seq", "stream+json"];
    words.iter().any(|word| kind.contains(word)) && !streams.iter().any(|word| kind.contains(word))
}
