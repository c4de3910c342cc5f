//! What the routes of a shop demand of a request.

use super::demand::Demand;
use super::table::RouteTable;
use crate::request::calls::{BodyNeed, Fit, RequestView};

impl RouteTable {
    /// What a request must meet, where its shop demands this.
    ///
    /// For each reading of its path, the first route counts that it fits as written, and every earlier route that it fits
    /// leniently. The strictest of all these is used: so a laxer route applies only where no other can be meant, and a stricter
    /// one wherever it may be meant.
    pub(in crate::request) fn demand(&self, view: &RequestView<'_>, of_shop: Demand) -> Demand {
        if !self.is_demanding() {
            return of_shop;
        }
        let unresolved = view.path.unresolved();
        let readings = view
            .path
            .readings()
            .chain(unresolved.iter().map(String::as_str));
        let demands = readings.map(|reading| self.demand_under(reading, view, of_shop));
        demands.reduce(Demand::strictest).unwrap_or(of_shop)
    }

    /// Whether a route that demands something could mean one of the readings of a request's path.
    pub(in crate::request) fn could_demand(&self, view: &RequestView<'_>) -> bool {
        let mut demanding = self.demanding();
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

    fn demand_under(&self, reading: &str, view: &RequestView<'_>, of_shop: Demand) -> Demand {
        let mut earlier: Option<Demand> = None;
        let strictest = |earlier: Option<Demand>, demand: Demand| {
            earlier.map_or(demand, |earlier| earlier.strictest(demand))
        };
        for route in self.routes() {
            let demand = route.demand.over(of_shop);
            match route.conditions.fit(reading, view) {
                Fit::No => {}
                Fit::Leniently => earlier = Some(strictest(earlier, demand)),
                Fit::AsWritten => return strictest(earlier, demand),
            }
        }
        strictest(earlier, of_shop)
    }
}
