//! The routes that end at one place of the tree: of many that ask for a value, those that ask for the value that is there.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::route::Route;
use crate::request::calls::{Condition, PathStyle, RequestView};

/// The numbers of routes.
pub(super) type Numbers = SmallVec<[usize; 8]>;

/// The routes of one path.
#[derive(Debug, Default)]
pub(super) struct RouteBucket {
    all: Vec<usize>,
    /// Where there are many: those that ask for a value of a header, a parameter or a cookie.
    by_value: Vec<ValueIndex>,
    /// The others of these.
    others: Vec<usize>,
}

/// Routes by the value that they ask for in one place.
#[derive(Debug)]
struct ValueIndex {
    /// A route that asks there, and which of its conditions does.
    like: (Arc<Route>, usize),
    routes: HashMap<String, Vec<usize>>,
}

/// So many that trying each of them costs more than to look the value up.
const MANY: usize = 8;

impl RouteBucket {
    pub(super) fn push(&mut self, at: usize) {
        self.all.push(at);
    }

    /// Collects the routes that could mean this request; without one, all.
    pub(super) fn collect(&self, view: Option<&RequestView<'_>>, found: &mut Numbers) {
        let Some(view) = view.filter(|_| !self.by_value.is_empty()) else {
            found.extend_from_slice(&self.all);
            return;
        };
        found.extend_from_slice(&self.others);
        for index in &self.by_value {
            index.collect(view, found);
        }
    }

    /// Sorts them by the values that they ask for, once all are here.
    pub(super) fn index(&mut self, routes: &[Arc<Route>], style: PathStyle) {
        if self.all.len() < MANY {
            return;
        }
        self.others.clone_from(&self.all);
        while let Some(like) = common_condition(&self.others, routes) {
            let mut index = ValueIndex {
                like,
                routes: HashMap::new(),
            };
            self.others
                .retain(|at| !index.takes(*at, &routes[*at], style));
            self.by_value.push(index);
        }
    }
}

impl ValueIndex {
    fn condition(&self) -> &Condition {
        let (route, at) = &self.like;
        &route.conditions.values[*at]
    }

    /// Takes a route, if it asks for texts in this place.
    fn takes(&mut self, at: usize, route: &Route, style: PathStyle) -> bool {
        let place = &self.condition().at;
        let conditions = route.conditions.values.iter();
        let mut here = conditions.filter(|one| one.at == *place);
        let Some(texts) = here.find_map(Condition::texts) else {
            return false;
        };
        for text in texts {
            let key = Condition::key_of(text, style).into_owned();
            self.routes.entry(key).or_default().push(at);
        }
        true
    }

    fn collect(&self, view: &RequestView<'_>, found: &mut Numbers) {
        for value in self.condition().given(&view.request, view.style) {
            let key = Condition::key_of(&value, view.style);
            if let Some(routes) = self.routes.get(&*key) {
                found.extend_from_slice(routes);
            }
        }
    }
}

/// The condition on texts in whose place the most of these routes ask, if those are many.
fn common_condition(left: &[usize], routes: &[Arc<Route>]) -> Option<(Arc<Route>, usize)> {
    let mut places: Vec<(usize, &Arc<Route>, usize)> = Vec::new();
    for route in left.iter().map(|at| &routes[*at]) {
        for (at, condition) in route.conditions.values.iter().enumerate() {
            if condition.texts().is_none() {
                continue;
            }
            let is_here = |known: &&mut (usize, &Arc<Route>, usize)| {
                let (_, route, at) = known;
                route.conditions.values[*at].at == condition.at
            };
            match places.iter_mut().find(is_here) {
                Some((count, ..)) => *count += 1,
                None => places.push((1, route, at)),
            }
        }
    }
    let (count, route, at) = places.into_iter().max_by_key(|(count, ..)| *count)?;
    (count >= MANY).then(|| (Arc::clone(route), at))
}
