//! A request as rules match it: its methods, its path and its GraphQL, each read once, as the laxest server reads them.

use std::sync::OnceLock;

use http::{HeaderName, Method};
use smallvec::SmallVec;

use super::condition::parameter_values;
use super::paths::{Path, PathStyle};
use super::request::Request;
use crate::request::graphql::{GraphQlReading, LearntDocuments};
use crate::request::payload::{is_called, is_spelling_of};

/// A request as the rules of its shop match it.
pub(in crate::request) struct RequestView<'r> {
    /// The request.
    pub(in crate::request) request: Request<'r>,
    /// Its path.
    pub(in crate::request) path: Path<'r>,
    /// How the shop compares paths.
    pub(in crate::request) style: PathStyle,
    /// The methods that its headers name instead of its own.
    named: SmallVec<[&'r str; 1]>,
    /// Its GraphQL, once a rule or a credential needed it.
    graphql: OnceLock<GraphQlReading>,
}

/// The headers by which frameworks override the method.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The parameter by which they do.
const METHOD_PARAMETER: &str = "_method";

impl<'r> RequestView<'r> {
    /// Reads a request for a shop that compares paths like this; `path`: the path of the request.
    pub(in crate::request) fn new(request: Request<'r>, path: Path<'r>, style: PathStyle) -> Self {
        let headers = request.head.headers.iter();
        let named = headers.filter(|(name, _)| is_override(name));
        let named = named.filter_map(|(_, line)| line.to_str().ok());
        Self {
            request,
            path,
            style,
            named: named.collect(),
            graphql: OnceLock::new(),
        }
    }

    /// Its GraphQL, read now unless it was read before; `learnt`: the documents that the shop's clients name by hash.
    pub(in crate::request) fn read_graphql(&self, learnt: &LearntDocuments) -> &GraphQlReading {
        let read = || GraphQlReading::new(&self.request, learnt);
        self.graphql.get_or_init(read)
    }

    /// Its GraphQL, if it was read.
    pub(in crate::request) fn graphql(&self) -> Option<&GraphQlReading> {
        self.graphql.get()
    }

    /// Whether its own method, or one that its headers name instead, is one of these. Applications answer HEAD like GET.
    pub(in crate::request) fn has_method(&self, methods: &[Method]) -> bool {
        let method = &self.request.head.method;
        methods.contains(method)
            || *method == Method::HEAD && methods.contains(&Method::GET)
            || self.named.iter().any(|line| names_one_of(line, methods))
    }

    /// Whether a parameter could override its method: most frameworks allow that for POST only, because any page could link to a
    /// GET.
    pub(in crate::request) fn can_be_overridden(&self, methods: &[Method]) -> bool {
        let head = &self.request.head;
        let can =
            head.method == Method::POST || self.style.get_override && head.uri.query().is_some();
        can && !methods.contains(&head.method)
    }

    /// Whether a header or a parameter of its query names any other method.
    pub(in crate::request) fn names_method(&self) -> bool {
        let query = self.request.head.uri.query().unwrap_or_default();
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        !self.named.is_empty() || parameters.any(|(name, _)| is_called(&name, METHOD_PARAMETER))
    }

    /// Whether a parameter overrides its method with one of these.
    pub(in crate::request) fn is_overridden(&self, methods: &[Method]) -> bool {
        let given = || parameter_values(&[METHOD_PARAMETER], &self.request, PathStyle::default());
        self.can_be_overridden(methods)
            && given().iter().any(|(text, _)| names_one_of(text, methods))
    }
}

fn is_override(name: &HeaderName) -> bool {
    // Most headers begin with another letter, and this is called for each.
    let may_be = name.as_str().starts_with('x');
    may_be && OVERRIDES.iter().any(|one| is_spelling_of(name, one))
}

fn names_one_of(text: &str, methods: &[Method]) -> bool {
    let named = || text.split(',').map(str::trim);
    let is_named = |method: &Method| named().any(|one| one.eq_ignore_ascii_case(method.as_str()));
    methods.iter().any(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a request with this line, header and form is a DELETE to some server.
    fn is_delete(line: (&str, &str), header: (&str, &str), form: &str) -> bool {
        let head = http::Request::builder()
            .method(line.0)
            .uri(line.1)
            .header(header.0, header.1);
        let (head, ()) = head.body(()).unwrap().into_parts();
        let request = Request::new(&head, Some(form.as_bytes()));
        let path = Path::parse(head.uri.path());
        let view = RequestView::new(request, path, PathStyle::default());
        view.has_method(&[Method::DELETE]) || view.is_overridden(&[Method::DELETE])
    }

    #[test]
    fn a_method_may_be_named_elsewhere_attacks_a2() {
        let none = ("accept", "*/*");
        assert!(is_delete(("DELETE", "/session"), none, ""));
        assert!(is_delete(("POST", "/session?_method=DELETE"), none, ""));
        assert!(is_delete(("POST", "/session?_method=delete"), none, ""));
        assert!(is_delete(("POST", "/session"), none, "a=b&_method=delete"));
        assert!(is_delete(
            ("POST", "/session"),
            none,
            r#"{"_method":"DELETE"}"#
        ));
        for name in [
            "X-HTTP-Method-Override",
            "x-http-method",
            "X-Method-Override",
            "X_HTTP_METHOD_OVERRIDE",
        ] {
            assert!(
                is_delete(("POST", "/session"), (name, "Delete"), ""),
                "{name}"
            );
            assert!(
                is_delete(("GET", "/session"), (name, "DELETE"), ""),
                "{name}"
            );
        }
        assert!(!is_delete(("POST", "/session"), none, "method=DELETE"));
        assert!(!is_delete(
            ("POST", "/session"),
            ("x-http-method", "PUT"),
            "_method=PATCH"
        ));
        assert!(
            !is_delete(("GET", "/session?_method=DELETE"), none, ""),
            "a link is no form"
        );
        let (head, ()) = http::Request::get("/session?.method=delete")
            .body(())
            .unwrap()
            .into_parts();
        let request = Request::new(&head, None);
        let style = PathStyle {
            get_override: true,
            ..PathStyle::default()
        };
        let path = Path::parse(head.uri.path());
        assert!(RequestView::new(request, path, style).is_overridden(&[Method::DELETE]));
    }

    #[test]
    fn a_head_is_a_get() {
        let (head, ()) = http::Request::head("/").body(()).unwrap().into_parts();
        let path = Path::parse(head.uri.path());
        let view = RequestView::new(Request::new(&head, None), path, PathStyle::default());
        assert!(view.has_method(&[Method::GET]) && !view.has_method(&[Method::POST]));
    }
}
