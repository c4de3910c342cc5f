//! The routes of a shop in the order of its configuration, and the first one that a request takes.

use std::borrow::Cow;
use std::sync::Arc;

use super::handling::Handling;
use super::path_tree::PathTree;
use super::route::Route;
use super::split::SplitBy;
use super::target::RouteTarget;
use crate::request::answers::Refusal;
use crate::request::calls::{Path, PathStyle, RequestView};

/// The routes of a shop.
///
/// A tree of the segments of their paths says which could be taken, so that a thousand routes cost no more than a few.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    tree: PathTree,
    /// Whether a route demands something.
    is_demanding: bool,
    /// The routes that ask for something in the body.
    reading_body: Vec<usize>,
    /// The cookies by which routes hold clients, each once.
    split_cookies: Vec<String>,
    /// How requests without a route are sent.
    handling: Handling,
}

impl RouteTable {
    /// These routes, of a shop that compares paths like this.
    pub fn new(routes: Vec<Route>, style: PathStyle) -> Self {
        let routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
        let reads = |at: &usize| routes[*at].conditions.read_body();
        Self {
            tree: PathTree::new(&routes, style),
            is_demanding: routes.iter().any(|route| route.demand.is_some()),
            reading_body: (0..routes.len()).filter(reads).collect(),
            split_cookies: split_cookies_of(&routes),
            handling: Handling::default(),
            routes,
        }
    }

    /// The same, with what the shop says of requests that take no route.
    #[must_use]
    pub fn with_handling(self, handling: Handling) -> Self {
        Self { handling, ..self }
    }

    /// How a request that takes this route is sent, and its answer passed on.
    pub fn handling<'t>(&'t self, route: Option<&'t Route>) -> &'t Handling {
        route.map_or(&self.handling, |route| &route.handling)
    }

    /// The routes.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The cookies by which routes hold clients: they are Doorward's own, whatever route a request takes.
    pub fn split_cookies(&self) -> &[String] {
        &self.split_cookies
    }

    /// Whether a route demands something.
    pub(super) fn is_demanding(&self) -> bool {
        self.is_demanding
    }

    /// The routes that ask for something in the body.
    pub(super) fn reading_body(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.reading_body.iter().map(|at| &self.routes[*at])
    }

    /// The route that a request takes: the first whose conditions hold, under every reading of its path.
    pub(in crate::request) fn choose(
        &self,
        view: &RequestView<'_>,
    ) -> Result<Option<&Arc<Route>>, Refusal> {
        if self.routes.is_empty() {
            return Ok(None);
        }
        let taken = self.first(view.path.normal(), view);
        let mut others = view.path.readings().skip(1);
        let dotted = view.path.with_dots_as_names();
        let mut dotted = dotted.iter().map(String::as_str);
        let is_one = !view.path.has_too_many_readings()
            && others.all(|reading| self.first(reading, view) == taken)
            && dotted.all(|reading| self.first(reading, view) == taken);
        let taken = taken.map(|at| &self.routes[at]);
        if is_one && taken.is_none_or(|route| !leads_up(route, view)) {
            Ok(taken)
        } else {
            Err(Refusal::AmbiguousPath)
        }
    }

    /// The number of the first route whose conditions hold under this reading of the path.
    fn first(&self, reading: &str, view: &RequestView<'_>) -> Option<usize> {
        let mut candidates = self.tree.routes_at(reading, Some(view)).into_iter();
        candidates.find(|at| self.routes[*at].conditions.hold(reading, view))
    }

    /// The routes that a request could fit under this reading of its path, in order.
    pub(super) fn candidates(
        &self,
        reading: &str,
        view: &RequestView<'_>,
    ) -> impl Iterator<Item = &Arc<Route>> {
        let candidates = self.tree.routes_at(reading, Some(view)).into_iter();
        candidates.map(|at| &self.routes[at])
    }

    /// The routes that a path could mean, whatever else a request has, in order.
    pub(super) fn at_path(&self, reading: &str) -> impl Iterator<Item = &Arc<Route>> {
        let candidates = self.tree.routes_at(reading, None).into_iter();
        candidates.map(|at| &self.routes[at])
    }
}

/// Whether its rewrite makes a path with dot segments, which were none where they were sent: a server that resolves them would
/// answer for a path that no route was chosen by.
fn leads_up(route: &Route, view: &RequestView<'_>) -> bool {
    let raw = view.request.head.uri.path();
    match route.rewrite.apply(raw) {
        Cow::Borrowed(_) => false,
        Cow::Owned(path) => Path::parse(&path).leads_up(),
    }
}

fn split_cookies_of(routes: &[Arc<Route>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for route in routes {
        if let RouteTarget::Split(split) = &route.target
            && let SplitBy::Cookie(name) = &split.by
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clients::AccessList;
    use crate::request::calls::{Path, PathPattern, Request};
    use crate::request::routes::{
        HeaderRules, PathRewrite, RouteConditions, RouteDemand, RouteTarget,
    };

    fn route(number: usize, paths: &[String]) -> Route {
        let paths = paths.iter().map(|path| PathPattern::parse(path).unwrap());
        Route {
            name: number.to_string(),
            conditions: RouteConditions {
                paths: paths.collect(),
                ..RouteConditions::default()
            },
            access: AccessList::default(),
            limit: None,
            demand: RouteDemand::default(),
            target: RouteTarget::Shop,
            handling: Handling::default(),
            rewrite: PathRewrite::None,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
        }
    }

    /// The number of the route that a path takes.
    fn taken(table: &RouteTable, path: &str, style: PathStyle) -> Result<Option<usize>, Refusal> {
        let (head, ()) = http::Request::get(path).body(()).unwrap().into_parts();
        let path = Path::parse(head.uri.path());
        let view = RequestView::new(Request::new(&head, None), path, style);
        let chosen = table.choose(&view)?;
        Ok(chosen.map(|route| route.name.parse().unwrap()))
    }

    /// The same without the tree: every route is tried for every reading.
    fn expected(
        routes: &[Vec<String>],
        path: &str,
        style: PathStyle,
    ) -> Result<Option<usize>, Refusal> {
        let path = Path::parse(path);
        let first = |reading: &str| {
            let is_written = |text: &String| {
                let pattern = PathPattern::parse(text).unwrap();
                pattern.is_everything() || pattern.is_written(reading, style)
            };
            routes
                .iter()
                .position(|paths| paths.is_empty() || paths.iter().any(is_written))
        };
        let normal = first(path.normal());
        path.readings()
            .all(|reading| first(reading) == normal)
            .then_some(normal)
            .ok_or(Refusal::AmbiguousPath)
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![Just("a"), Just("b"), Just("B"), Just("*"), Just("a*")];
        (
            prop::collection::vec(segment, 0..4),
            prop_oneof![Just(""), Just("/"), Just("/*")],
        )
            .prop_map(|(segments, end)| {
                let path = segments
                    .iter()
                    .fold(String::new(), |path, one| path + "/" + one);
                let path = format!("{path}{end}");
                if path.is_empty() {
                    "/".to_owned()
                } else {
                    path
                }
            })
    }

    fn sent_path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("a"),
            Just("b"),
            Just("A"),
            Just("ab"),
            Just("x"),
            Just(""),
            Just("."),
            Just(".."),
            Just("%61"),
            Just("a%2Fb"),
            Just("%252e%252e"),
            Just("a;b"),
            Just("a%5Cb"),
        ];
        prop::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")))
    }

    proptest! {
        #[test]
        fn the_route_taken_is_the_first_that_holds_for_every_reading(
            routes in prop::collection::vec(prop::collection::vec(pattern(), 0..3), 0..8),
            path in sent_path(),
            ignore_case in any::<bool>(),
            exact_slash in any::<bool>(),
        ) {
            let style = PathStyle { ignore_case, exact_slash, ..PathStyle::default() };
            let made = routes.iter().enumerate().map(|(number, paths)| route(number, paths));
            let table = RouteTable::new(made.collect(), style);
            prop_assert_eq!(taken(&table, &path, style), expected(&routes, &path, style));
        }

        #[test]
        fn a_shadowed_route_is_never_taken(
            routes in prop::collection::vec(prop::collection::vec(pattern(), 0..3), 1..6),
            path in sent_path(),
        ) {
            let style = PathStyle::default();
            let made = routes.iter().enumerate().map(|(number, paths)| route(number, paths));
            let table = RouteTable::new(made.collect(), style);
            if let Ok(Some(number)) = taken(&table, &path, style) {
                prop_assert!(table.shadowing(&table.routes()[number]).is_empty());
            }
        }
    }
}
