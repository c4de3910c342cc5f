//! What the routes of a shop require of the credentials of a request.

use super::enforce::Enforce;
use super::table::RouteTable;
use crate::request::calls::{BodyNeed, Fit, RequestView};

impl RouteTable {
    /// How strictly the routes judge a request.
    ///
    /// For each reading of its path, the first route counts that it fits as written, and every earlier route that it fits
    /// leniently. The strictest of all these is used: so a laxer route applies only where no other can be meant, and a stricter
    /// one wherever it may be meant.
    pub(in crate::request) fn enforcement(&self, view: &RequestView<'_>) -> Enforce {
        if !self.is_demanding() {
            return Enforce::default();
        }
        let unresolved = view.path.unresolved();
        let readings = view
            .path
            .readings()
            .chain(unresolved.iter().map(String::as_str));
        let demands = readings.map(|reading| self.enforcement_under(reading, view));
        demands.max().unwrap_or_default()
    }

    /// Whether a route that demands something could mean one of the readings of a request's path.
    pub(in crate::request) fn could_demand(&self, view: &RequestView<'_>) -> bool {
        let mut demanding = self.demanding_before(usize::MAX);
        demanding.any(|route| route.conditions.are_at(view))
    }

    /// Whether the body of a request decides which route it takes.
    pub(in crate::request) fn body_need(&self, view: &RequestView<'_>) -> BodyNeed {
        let mut routes = self.routes().iter().map(|route| &route.conditions);
        if routes.any(|conditions| conditions.read_body() && conditions.are_at(view)) {
            BodyNeed::Whole
        } else {
            BodyNeed::None
        }
    }

    fn enforcement_under(&self, reading: &str, view: &RequestView<'_>) -> Enforce {
        let fits = |at: &usize| self.routes()[*at].conditions.fit(reading, view) == Fit::AsWritten;
        let first = self.candidates(reading).into_iter().find(fits);
        let own = first
            .and_then(|at| self.routes()[at].enforce)
            .unwrap_or_default();
        let before = self.demanding_before(first.unwrap_or(usize::MAX));
        let lenient = before.filter(|route| route.conditions.fit(reading, view) == Fit::Leniently);
        let demands = lenient.filter_map(|route| route.enforce);
        demands.fold(own, Enforce::max)
    }
}
