//! Requests that look like a logout and match no rule: a sign that a rule is missing or wrong.

use http::Method;
use memchr::memmem;

use crate::request::calls::{BodyNeed, Call, Fit, Path, PathPattern, RequestView};
use crate::request::graphql::GraphQlCondition;
use crate::request::shop::Shop;

/// Words in the paths of logouts.
const WORDS: [&str; 8] = [
    "logout", "log-out", "log_out", "logoff", "signout", "sign-out", "sign_out", "signoff",
];

/// The word in the last segment of GraphQL paths.
const GRAPHQL: &str = "graphql";

impl Shop {
    /// Whether a visit looks like a logout: by the end of its path, by a word in it, or by the mutation that it names.
    ///
    /// Only the operator's log depends on it: every request is judged all the same.
    pub(in crate::request) fn looks_like_logout(&self, view: &RequestView<'_>) -> bool {
        let head = view.request.head;
        let changes = changes_something(&head.method);
        if !changes && !self.may_log_out_by_get(head.uri.path()) {
            return false;
        }
        let mut known = self.known_logouts.calls().chain(self.logout_calls());
        changes && has_word(view.path.normal())
            || known.any(|call| resembles(call, view))
            || changes && self.names_mutation(view)
    }

    /// Whether the body of a request could name a logout of GraphQL that no rule is about.
    pub(in crate::request) fn body_need_of_hint(&self, view: &RequestView<'_>) -> BodyNeed {
        if view.request.head.method == Method::POST && self.is_graphql_path(&view.path) {
            BodyNeed::Sweep
        } else {
            BodyNeed::None
        }
    }

    /// Most requests are GETs, few of them calls: the end of the path decides quickly.
    fn may_log_out_by_get(&self, path: &str) -> bool {
        let mut known = self.known_logouts.calls().chain(self.logout_calls());
        known.any(|call| call.methods.contains(&Method::GET) && ends_alike(call, path))
    }

    fn is_graphql_path(&self, path: &Path<'_>) -> bool {
        let last = last_of(path.normal()).to_ascii_lowercase();
        let is_known = || {
            self.known_logouts
                .graphql()
                .any(|call| ends_alike(call, &last))
        };
        last.contains(GRAPHQL) || is_known()
    }

    fn names_mutation(&self, view: &RequestView<'_>) -> bool {
        let body = view.request.body.unwrap_or_default();
        if memmem::find(body, b"mutation").is_none() || !self.is_graphql_path(&view.path) {
            return false;
        }
        let fields = self.known_logouts.graphql();
        let fields = fields.filter_map(|call| call.graphql.as_ref());
        let mut fields = fields.flat_map(GraphQlCondition::fields);
        let has = |word: &str| memmem::find(body, word.as_bytes()).is_some();
        has_word(&String::from_utf8_lossy(body)) || fields.any(|field| has(field))
    }
}

/// Whether a method is one by which something is changed.
fn changes_something(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

fn has_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether a request ends as a call does that is not one of GraphQL, and fits in all else.
fn resembles(call: &Call, view: &RequestView<'_>) -> bool {
    let fits = || {
        let mut conditions = call.conditions.iter();
        conditions.all(|one| one.fit(&view.request, view.style) != Fit::No)
    };
    let is_everywhere = call.paths.iter().any(PathPattern::is_everything);
    let is_alike = if is_everywhere {
        view.request.head.uri.query().is_some() && !call.conditions.is_empty()
    } else {
        ends_alike(call, view.path.normal())
    };
    call.graphql.is_none() && is_alike && view.has_method(&call.methods) && fits()
}

fn ends_alike(call: &Call, path: &str) -> bool {
    let last = last_of(path);
    let mut names = call.paths.iter().filter_map(|path| path.last_name());
    names.any(|name| name.eq_ignore_ascii_case(last))
}

fn last_of(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or_default()
}
