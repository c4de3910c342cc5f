//! A call of the storefront's API that a rule names, and how requests are matched with it.

use std::fmt;

use http::Method;

use super::condition::{Condition, ConditionPlace};
use super::paths::{Fit, Path, PathPattern, PathStyle};
use super::request_view::RequestView;
use crate::request::graphql::GraphQlCondition;

/// A call. A request is this call if everything here matches it, as the laxest server reads it.
#[derive(Debug)]
pub struct Call {
    /// Its methods.
    pub methods: Vec<Method>,
    /// Its paths.
    pub paths: Vec<PathPattern>,
    /// Its conditions; all must hold.
    pub conditions: Vec<Condition>,
    /// Its GraphQL mutations.
    pub graphql: Option<GraphQlCondition>,
}

/// How much of a request must be read before it can be judged; later variants need more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyNeed {
    /// Its head.
    #[default]
    None,
    /// Its body, if that is short enough: it may hold a revoked token, or parameters that some servers read.
    Sweep,
    /// Its body, because a rule depends on it.
    Whole,
}

/// Its methods and its first path, or its first mutation.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        f.write_str(&methods.join(","))?;
        if let Some(path) = self.paths.first() {
            write!(f, " {path}")?;
        }
        let graphql = self.graphql.as_ref();
        match graphql.and_then(GraphQlCondition::first_field) {
            Some(field) => write!(f, " mutation {field}"),
            None => Ok(()),
        }
    }
}

impl Call {
    /// Whether one of the readings of a request is this call.
    pub(in crate::request) fn claims(&self, view: &RequestView<'_>) -> bool {
        let graphql = self.graphql.as_ref();
        self.is_made_by(view) && graphql.is_none_or(|graphql| graphql.holds(view.graphql()))
    }

    /// Whether one of its paths has a `{token}`.
    pub fn names_token(&self) -> bool {
        self.paths.iter().any(PathPattern::has_token)
    }

    /// The token that its `{token}` matches in a path.
    pub fn captured_token<'p>(&self, path: &'p Path<'_>, style: PathStyle) -> Option<&'p str> {
        let mut paths = self.paths.iter();
        paths.find_map(|pattern| pattern.capture(path.normal(), style))
    }

    /// Whether the mutations of a request decide if it is this call.
    pub(in crate::request) fn asks_graphql(&self, view: &RequestView<'_>) -> bool {
        self.graphql.is_some() && self.is_made_by(view)
    }

    /// Whether a request matches it apart from method and mutation.
    pub(in crate::request) fn is_under(&self, view: &RequestView<'_>) -> bool {
        let mut conditions = self.conditions.iter();
        self.is_at(view) && conditions.all(|one| one.fit(&view.request, view.style) != Fit::No)
    }

    /// Whether its body could make a request this call.
    pub(in crate::request) fn body_need(&self, view: &RequestView<'_>) -> BodyNeed {
        let has_method = view.has_method(&self.methods);
        if !has_method && !view.can_be_overridden(&self.methods) || !self.is_at(view) {
            return BodyNeed::None;
        }
        let open = self.conditions.iter();
        let mut open = open.filter(|one| one.fit(&view.request, view.style) == Fit::No);
        let mut need = if has_method {
            BodyNeed::None
        } else {
            BodyNeed::Sweep
        };
        if self.graphql.is_some() && has_method {
            need = BodyNeed::Whole;
        }
        let says = |one: &Condition| match one.at {
            ConditionPlace::Header(_) | ConditionPlace::Cookie(_) => None,
            ConditionPlace::Parameter(_) => Some(BodyNeed::Sweep),
            ConditionPlace::Body(_) => Some(BodyNeed::Whole),
        };
        let open = open.try_fold(BodyNeed::None, |need, one| Some(need.max(says(one)?)));
        open.map_or(BodyNeed::None, |open| need.max(open))
    }

    /// Whether a request matches its methods, paths and conditions.
    fn is_made_by(&self, view: &RequestView<'_>) -> bool {
        let has_method = view.has_method(&self.methods);
        (has_method || view.can_be_overridden(&self.methods))
            && self.is_under(view)
            && (has_method || view.is_overridden(&self.methods))
    }

    fn is_at(&self, view: &RequestView<'_>) -> bool {
        matches_any(&self.paths, &view.path, view.style)
    }
}

/// Whether any pattern matches any reading.
fn matches_any(patterns: &[PathPattern], path: &Path<'_>, style: PathStyle) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| {
        path.readings()
            .any(|reading| pattern.matches(reading, style))
    })
}
