//! The tree of the paths of routes: which routes a path could mean, without a look at the others.

use std::collections::{BTreeMap, HashMap};
use std::ptr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::route::Route;
use super::route_bucket::{Numbers, RouteBucket};
use crate::request::calls::{
    Leniency, PathPattern, PathStyle, RequestView, SegmentStart, is_blank, is_front_controller,
};

/// The tree of the segments of paths. It finds every route that a path fits as written or leniently, and some that it does not.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    root: PathNode,
    ignores_case: bool,
    /// How many segments may stand before the path of a route.
    folders_max: usize,
}

/// A folder of the tree.
#[derive(Debug, Default)]
struct PathNode {
    /// Below a segment with this name.
    names: HashMap<String, PathNode>,
    /// Below a segment that begins with this, by the number of its bytes. Any segment begins with nothing.
    begun: BTreeMap<usize, HashMap<String, PathNode>>,
    /// Of routes that mean this path.
    exact: RouteBucket,
    /// Of routes that mean all below.
    open: RouteBucket,
}

type Nodes<'t> = SmallVec<[&'t PathNode; 4]>;

impl PathTree {
    /// The tree of these routes, of a shop that compares paths like this.
    pub(super) fn new(routes: &[Arc<Route>], style: PathStyle) -> Self {
        let mut tree = Self {
            ignores_case: style.ignore_case,
            ..Self::default()
        };
        for (at, route) in routes.iter().enumerate() {
            if route.conditions.paths.is_empty() {
                tree.root.open.push(at);
            }
            for path in &route.conditions.paths {
                tree.folders_max = tree.folders_max.max(path.folders_max());
                tree.root.insert(path, at, style.ignore_case);
            }
        }
        tree.root.index(routes, style);
        tree
    }

    /// The routes that a path could mean, in order; for a request those that its other values could mean, too.
    pub(super) fn routes_at(&self, path: &str, view: Option<&RequestView<'_>>) -> Numbers {
        let mut found = Numbers::new();
        let lowered;
        let path = if self.ignores_case {
            lowered = path.to_ascii_lowercase();
            &lowered
        } else {
            path
        };
        let path = path.trim_start_matches('/');
        let whole = path.trim_end_matches('/');
        self.collect(whole, view, &mut found);
        let bare = path.trim_end_matches(|letter| letter == '/' || is_blank(letter));
        if bare.len() < whole.len() {
            self.collect(bare, view, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// All nodes that a path reaches are followed at once, each once: commas in a path could else be combined without end.
    fn collect(&self, path: &str, view: Option<&RequestView<'_>>, found: &mut Numbers) {
        let mut nodes = Nodes::from_slice(&[&self.root]);
        let mut rest = (!path.is_empty()).then_some(path);
        let mut depth = 0;
        while let Some(path) = rest {
            for node in &nodes {
                node.open.collect(view, found);
            }
            let (name, behind) = match path.split_once('/') {
                Some((name, behind)) => (name, Some(behind)),
                None => (path, None),
            };
            let mut next = Nodes::new();
            for given in readings_of(name, behind.is_none()) {
                nodes.iter().for_each(|node| node.follow(given, &mut next));
            }
            let is_entry = depth <= self.folders_max && is_front_controller(name);
            depth += 1;
            if depth <= self.folders_max || is_entry {
                next.push(&self.root);
            }
            if next.len() > 1 {
                next.sort_unstable_by_key(|node| ptr::from_ref(*node).addr());
                next.dedup_by(|one, other| ptr::eq(*one, *other));
            }
            (nodes, rest) = (next, behind);
        }
        for node in &nodes {
            node.open.collect(view, found);
            node.exact.collect(view, found);
        }
    }
}

/// What a lenient server could take a segment for: what stands between its commas, and without a format at the end of a path.
fn readings_of(name: &str, is_last: bool) -> SmallVec<[&str; 2]> {
    let mut readings: SmallVec<[&str; 2]> = SmallVec::from_slice(&[name]);
    if name.contains(',') {
        readings.extend(name.split(','));
    }
    if is_last {
        let given = readings.iter().copied();
        let stems = given.filter_map(|given| Leniency::Page.without_format(given));
        let stems: SmallVec<[&str; 2]> = stems.collect();
        readings.extend(stems);
    }
    if readings.len() > 1 {
        readings.sort_unstable();
        readings.dedup();
    }
    readings
}

impl PathNode {
    fn insert(&mut self, path: &PathPattern, at: usize, ignores_case: bool) {
        let key = |text: &str| {
            if ignores_case {
                text.to_ascii_lowercase()
            } else {
                text.to_owned()
            }
        };
        let mut node = self;
        for start in path.starts() {
            node = match start {
                SegmentStart::Name(name) => node.names.entry(key(name)).or_default(),
                SegmentStart::Begin(begin) => {
                    let of_length = node.begun.entry(begin.len()).or_default();
                    of_length.entry(key(begin)).or_default()
                }
            };
        }
        if path.is_open() {
            node.open.push(at);
        } else {
            node.exact.push(at);
        }
    }

    fn index(&mut self, routes: &[Arc<Route>], style: PathStyle) {
        self.exact.index(routes, style);
        self.open.index(routes, style);
        let begun = self.begun.values_mut().flat_map(HashMap::values_mut);
        for node in self.names.values_mut().chain(begun) {
            node.index(routes, style);
        }
    }

    /// The folders below a segment.
    fn follow<'t>(&'t self, name: &str, next: &mut Nodes<'t>) {
        next.extend(self.names.get(name));
        for (length, begun) in &self.begun {
            let begin = name.get(..*length);
            next.extend(begin.and_then(|begin| begun.get(begin)));
        }
    }
}
