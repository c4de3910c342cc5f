//! A call of the storefront's API that a rule is about, and how it is recognised.

use http::Method;

use super::Request;
use super::graphql::GraphQlCondition;
use super::path::{Path, PathStyle};
use super::path_pattern::PathPattern;
use super::route::is_meant;

/// A call: all that is said here must fit.
#[derive(Debug)]
pub struct Call {
    /// With which methods it is made.
    pub methods: Vec<Method>,
    /// Under which paths.
    pub paths: Vec<PathPattern>,
    /// With which parameters of the query; all of them must be there.
    pub query: Vec<QueryCondition>,
    /// With which mutations of GraphQL.
    pub graphql: Option<GraphQlCondition>,
}

/// A parameter that must have one of these values. Values that begin with a slash are paths.
#[derive(Debug)]
pub struct QueryCondition {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<QueryValue>,
}

/// A value of a parameter.
#[derive(Debug)]
pub enum QueryValue {
    /// Compared letter by letter.
    Text(String),
    /// Compared as paths are.
    Path(PathPattern),
}

impl Call {
    /// Whether one of the readings of a request is this call.
    pub fn claims(&self, request: &Request<'_>, path: &Path<'_>, style: PathStyle) -> bool {
        let graphql = self.graphql.as_ref();
        self.methods.contains(&request.head.method)
            && self.is_under(request, path, style)
            && graphql.is_none_or(|graphql| graphql.holds(request))
    }

    /// The token that the path carries, where the rule says with `{token}` that it does.
    pub fn captured<'p>(&self, path: &'p Path<'_>, style: PathStyle) -> Option<&'p str> {
        let mut paths = self.paths.iter();
        paths.find_map(|pattern| pattern.capture(path.normal(), style))
    }

    /// Whether a request could be this call, by the mutation that it executes.
    pub(super) fn asks_graphql(
        &self,
        request: &Request<'_>,
        path: &Path<'_>,
        style: PathStyle,
    ) -> bool {
        self.graphql.is_some()
            && self.methods.contains(&request.head.method)
            && self.is_under(request, path, style)
    }

    /// The same, whatever the method and what stands in the body.
    pub fn is_under(&self, request: &Request<'_>, path: &Path<'_>, style: PathStyle) -> bool {
        is_meant(&self.paths, path, style)
            && self
                .query
                .iter()
                .all(|condition| condition.holds(request, style))
    }
}

impl QueryCondition {
    fn holds(&self, request: &Request<'_>, style: PathStyle) -> bool {
        let query = request.head.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| *name == self.name)
            .any(|(_, value)| self.values.iter().any(|wanted| wanted.is(&value, style)))
    }
}

impl QueryValue {
    fn is(&self, given: &str, style: PathStyle) -> bool {
        match self {
            Self::Text(wanted) => wanted == given,
            Self::Path(pattern) => {
                is_meant(std::slice::from_ref(pattern), &Path::read(given), style)
            }
        }
    }
}
