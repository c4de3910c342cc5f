//! Which conditions always hold where others do: a later route is never taken then.

use std::sync::Arc;

use http::Method;

use super::conditions::RouteConditions;
use super::route::Route;
use super::table::RouteTable;
use crate::request::calls::{Condition, ConditionValue, PathPattern};

impl RouteTable {
    /// The earlier routes that take every request which this one could take: a single one, or one for each of its paths.
    pub fn shadowing(&self, route: &Route) -> Vec<&Arc<Route>> {
        let is_earlier = |one: &&Arc<Route>| !std::ptr::eq(one.as_ref(), route);
        let earlier = || self.routes().iter().take_while(is_earlier);
        let wanted = &route.conditions;
        if let Some(one) = earlier().find(|one| one.conditions.cover(wanted)) {
            return vec![one];
        }
        let takes = |path: &PathPattern| {
            earlier()
                .find(|one| one.conditions.cover_path(path) && one.conditions.cover_rest(wanted))
        };
        let all: Option<Vec<_>> = wanted.paths.iter().map(takes).collect();
        let mut all = all.unwrap_or_default();
        all.dedup_by(|one, other| Arc::ptr_eq(one, other));
        all
    }
}

impl RouteConditions {
    /// Whether one of `not` holds of every request that the other conditions mean.
    pub fn exclude_themselves(&self) -> bool {
        self.not.iter().any(|not| not.cover(self))
    }

    /// Whether these hold of every request of which the others do, as far as it can be told.
    fn cover(&self, others: &Self) -> bool {
        let has_paths =
            !others.paths.is_empty() && others.paths.iter().all(|path| self.cover_path(path));
        (self.mean_every_path() || has_paths) && self.cover_rest(others)
    }

    fn cover_path(&self, path: &PathPattern) -> bool {
        self.mean_every_path() || self.paths.iter().any(|one| one.covers(path))
    }

    fn mean_every_path(&self) -> bool {
        self.paths.is_empty() || self.paths.iter().any(PathPattern::is_everything)
    }

    /// The same of all but the paths.
    fn cover_rest(&self, others: &Self) -> bool {
        let has_method = |method: &Method| {
            self.methods.contains(method)
                || *method == Method::HEAD && self.methods.contains(&Method::GET)
        };
        let has_methods = !others.methods.is_empty() && others.methods.iter().all(has_method);
        let has_clients = !others.from.is_empty() && self.from.cover(&others.from);
        let is_asked = |one: &Condition| others.values.iter().any(|other| covers(one, other));
        let is_excluded = |one: &Self| others.not.iter().any(|other| other.cover(one));
        (self.methods.is_empty() || has_methods)
            && (self.from.is_empty() || has_clients)
            && (self.certificate.is_none() || self.certificate == others.certificate)
            && self.values.iter().all(is_asked)
            && self.not.iter().all(is_excluded)
    }
}

/// Whether a condition holds wherever another one does.
fn covers(one: &Condition, other: &Condition) -> bool {
    let takes_all = one.values.contains(&ConditionValue::Anything);
    let takes = |value| one.values.contains(value);
    one.at == other.at && (takes_all || other.values.iter().all(takes))
}
