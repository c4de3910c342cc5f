//! The routes that end at one place of the tree: of many that ask for a value, those that ask for the value that is there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use smallvec::SmallVec;

use super::route::Route;
use crate::clients::Peer;
use crate::request::calls::{Condition, ConditionPlace, PathStyle, RequestView};
use crate::request::cookie::sent_pairs;

/// The numbers of routes.
pub(super) type Numbers = SmallVec<[usize; 8]>;

/// The routes of one path.
#[derive(Debug, Default)]
pub(super) struct RouteBucket {
    all: Vec<usize>,
    /// Where there are many: those that ask for a value of a header, a parameter or a cookie.
    by_value: Vec<ValueIndex>,
    /// Of the others: those that ask for a header or a cookie, by the name of one.
    by_name: NameIndex,
    /// Of the others: those that ask for networks of clients.
    by_network: NetworkIndex,
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

/// Routes by the name of a header or a cookie that must be there.
#[derive(Debug, Default)]
struct NameIndex {
    /// With hyphens for underscores.
    headers: HashMap<String, Vec<usize>>,
    cookies: HashMap<String, Vec<usize>>,
}

/// Routes by the networks that they ask for: for each length of a prefix, by the first address.
#[derive(Debug, Default)]
struct NetworkIndex {
    by_length: BTreeMap<(bool, u8), HashMap<IpAddr, Vec<usize>>>,
    /// Those that ask for clients by unix sockets.
    unix: Vec<usize>,
}

/// So many that trying each of them costs more than to look the value up.
const MANY: usize = 8;

impl RouteBucket {
    pub(super) fn push(&mut self, at: usize) {
        self.all.push(at);
    }

    /// Collects the routes that could mean this request; without one, all.
    pub(super) fn collect(&self, view: Option<&RequestView<'_>>, found: &mut Numbers) {
        let Some(view) = view.filter(|_| self.all.len() >= MANY) else {
            found.extend_from_slice(&self.all);
            return;
        };
        found.extend_from_slice(&self.others);
        for index in &self.by_value {
            index.collect(view, found);
        }
        self.by_name.collect(view, found);
        self.by_network.collect(view, found);
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
        self.others
            .retain(|at| !self.by_name.takes(*at, &routes[*at]));
        self.others
            .retain(|at| !self.by_network.takes(*at, &routes[*at]));
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

impl NameIndex {
    /// Takes a route, if it asks for a header or a cookie.
    fn takes(&mut self, at: usize, route: &Route) -> bool {
        for condition in &route.conditions.values {
            let routes = match &condition.at {
                ConditionPlace::Header(name) => self.headers.entry(dashed(name).into_owned()),
                ConditionPlace::Cookie(name) => self.cookies.entry(name.clone()),
                ConditionPlace::Parameter(_) | ConditionPlace::Body(_) => continue,
            };
            routes.or_default().push(at);
            return true;
        }
        false
    }

    fn collect(&self, view: &RequestView<'_>, found: &mut Numbers) {
        let request = &view.request;
        if !self.headers.is_empty() {
            let names = request.head.headers.keys();
            let routes = names.filter_map(|name| self.headers.get(&*dashed(name)));
            routes.for_each(|routes| found.extend_from_slice(routes));
        }
        if !self.cookies.is_empty() {
            let names = sent_pairs(&request.head.headers).map(|(name, _)| name);
            let routes = names.filter_map(|name| self.cookies.get(str::from_utf8(name).ok()?));
            routes.for_each(|routes| found.extend_from_slice(routes));
        }
    }
}

impl NetworkIndex {
    /// Takes a route, if it asks for networks.
    fn takes(&mut self, at: usize, route: &Route) -> bool {
        let from = &route.conditions.from;
        for network in &from.networks {
            let (address, length) = (network.network(), network.prefix_len());
            let of_length = self.by_length.entry((address.is_ipv6(), length));
            let routes = of_length.or_default().entry(address).or_default();
            routes.push(at);
        }
        if from.unix {
            self.unix.push(at);
        }
        !from.is_empty()
    }

    fn collect(&self, view: &RequestView<'_>, found: &mut Numbers) {
        let client = match view.request.client {
            Some(Peer::Address(address)) => address,
            Some(Peer::Unix) => return found.extend_from_slice(&self.unix),
            None => return,
        };
        let is_ipv6 = client.is_ipv6();
        for ((_, length), routes) in self.by_length.range((is_ipv6, 0)..=(is_ipv6, u8::MAX)) {
            let network = IpNet::new(client, *length).ok();
            let routes = network.and_then(|network| routes.get(&network.network()));
            found.extend_from_slice(routes.map_or(&[], Vec::as_slice));
        }
    }
}

/// The name of a header, with hyphens for underscores.
fn dashed(name: &HeaderName) -> Cow<'_, str> {
    let name = name.as_str();
    if name.contains('_') {
        Cow::Owned(name.replace('_', "-"))
    } else {
        Cow::Borrowed(name)
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
