//! Doorward's own answers: to refused requests, logouts and preflights.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE, VARY,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::words::Words;
use crate::request::payload::json;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without its length.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// Whether it is a success in JSON without `errors`.
    pub(in crate::request) fn is_plain_json(&self) -> bool {
        let said = json::parse_answer(&self.body).filter(|_| self.status.is_success());
        said.is_some_and(|said| said.get("errors").is_none())
    }

    /// Adds `Set-Cookie` lines.
    pub(in crate::request) fn add_cookies(&mut self, lines: impl IntoIterator<Item = HeaderValue>) {
        for line in lines {
            self.headers.append(SET_COOKIE, line);
        }
    }
}

/// The kind of API that a client calls, which decides the shape of a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiKind {
    /// Anything but GraphQL.
    #[default]
    Other,
    /// GraphQL, whose clients look for `errors` in an answer.
    GraphQl,
}

/// How a shop words its refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// `{"message": "…"}`, as Laravel does.
    #[default]
    Message,
    /// `{"code": "…", "message": "…", "data": {"status": 401}}`, as `WordPress` does.
    WpError,
    /// RFC 9457.
    Problem,
    /// `{"errors": [{"message": "…", "extensions": {"code": "…"}}]}`.
    GraphQl,
}

/// The refusals of one shop.
#[derive(Clone, Debug)]
pub struct RefusalSettings {
    /// Their shape.
    pub shape: Shape,
    /// The realm in their challenge (RFC 6750 section 3).
    pub realm: String,
    /// The error code in the `WordPress` shape.
    pub code: String,
    /// Whether their bodies name the request by its id.
    pub names_request: bool,
}

impl Default for RefusalSettings {
    /// For requests that no shop claims.
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            realm: "doorward".to_owned(),
            code: "doorward_refused".to_owned(),
            names_request: false,
        }
    }
}

/// Every method that is forwarded.
pub const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// When to try again if the disk, the keys or the shop are not available, or if there are too many requests.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");

impl RefusalSettings {
    /// The answer to a refused request; `words` are the rule's own for it.
    pub fn answer(&self, refusal: Refusal, words: Option<&Words>, head: &Parts) -> Answer {
        if let Refusal::UnknownDocument { batch } = refusal {
            return ask_for_text(batch, head);
        }
        let status = words.map_or(refusal.status(), |words| words.status);
        let message = words.and_then(|words| words.message.as_deref());
        let message = message.unwrap_or(refusal.message());
        let (content_type, shaped) =
            self.shape_for(head)
                .body(status, message, refusal, self.code_for(status, refusal));
        let body = words.and_then(|words| words.body.clone());
        let mut headers = base_headers(head, content_type);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, self.challenge(refusal));
        }
        if matches!(
            refusal,
            Refusal::NotDurable
                | Refusal::TooManyLogouts
                | Refusal::KeysMissing
                | Refusal::KeyPending
                | Refusal::Unconfirmed
                | Refusal::NoUpstream
                | Refusal::QueueFull
                | Refusal::QueueTimeout
                | Refusal::ReadAheadFull
                | Refusal::Syncing
        ) {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        if let Refusal::RateLimited { retry_after_s, .. } = refusal {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if let Refusal::MethodNotAllowed { allow } = refusal {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if refusal == Refusal::EncodedBody {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if refusal == Refusal::TraceRefused {
            headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        }
        Answer {
            status,
            headers,
            body: body.unwrap_or_else(|| shaped.into()),
        }
    }

    /// Names the request in the body of an answer that has the shape of these refusals.
    pub(super) fn name_request(&self, answer: &mut Answer, head: &Parts, id: &str) {
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
            return;
        };
        let place = match self.shape_for(head) {
            Shape::Message | Shape::Problem => Some(&mut body),
            Shape::WpError => body.get_mut("data"),
            Shape::GraphQl => body.pointer_mut("/errors/0/extensions"),
        };
        if let Some(Value::Object(members)) = place {
            members.insert("request_id".to_owned(), id.into());
            answer.body = body.to_string().into();
        }
    }

    /// The error code. Clients may drop their token for that of a refused one, so other refusals have other codes.
    fn code_for(&self, status: StatusCode, refusal: Refusal) -> &str {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => &self.code,
            _ => refusal.name(),
        }
    }

    /// A client that asks for problem details gets them.
    fn shape_for(&self, head: &Parts) -> Shape {
        let asked = head
            .headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok());
        if asked.is_some_and(|accept| accept.contains("application/problem+json")) {
            return Shape::Problem;
        }
        self.shape
    }

    /// `Bearer realm="…"`, and the error code where there is one (standards 13 to 18).
    fn challenge(&self, refusal: Refusal) -> HeaderValue {
        let realm = &self.realm;
        let text = match (refusal.error_code(), refusal) {
            (Some(code), Refusal::Revoked { .. }) => format!(
                "Bearer realm=\"{realm}\", error=\"{code}\", error_description=\"token was revoked\""
            ),
            (Some(code), _) => format!("Bearer realm=\"{realm}\", error=\"{code}\""),
            (None, _) => format!("Bearer realm=\"{realm}\""),
        };
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer realm=\"doorward\""))
    }
}

impl Shape {
    fn body(
        self,
        status: StatusCode,
        message: &str,
        refusal: Refusal,
        code: &str,
    ) -> (&'static str, String) {
        match self {
            Self::Message => (JSON, json!({ "message": message }).to_string()),
            Self::WpError => {
                let data = json!({ "status": status.as_u16() });
                (
                    JSON_UTF8,
                    json!({ "code": code, "message": message, "data": data }).to_string(),
                )
            }
            Self::Problem => {
                let title = status.canonical_reason().unwrap_or_default();
                let members = json!({
                    "type": "about:blank", "title": title, "status": status.as_u16(),
                    "detail": message, "reason": refusal.name(),
                });
                ("application/problem+json", members.to_string())
            }
            Self::GraphQl => {
                let code = match status {
                    StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
                    StatusCode::FORBIDDEN => "FORBIDDEN",
                    _ if status.is_client_error() => "BAD_REQUEST",
                    _ => "INTERNAL_SERVER_ERROR",
                };
                let error = json!({ "message": message, "extensions": { "code": code } });
                (JSON, json!({ "errors": [error] }).to_string())
            }
        }
    }
}

const JSON: &str = "application/json";
const JSON_UTF8: &str = "application/json; charset=UTF-8";

/// The answer to a logout, in the rule's words.
pub(in crate::request) fn logged_out(
    words: &Words,
    shape: Shape,
    deletions: &[HeaderValue],
    head: &Parts,
) -> Answer {
    let content_type = match shape {
        Shape::WpError => JSON_UTF8,
        Shape::Message | Shape::Problem | Shape::GraphQl => JSON,
    };
    let mut headers = base_headers(head, content_type);
    if words.body.is_none() {
        headers.remove(CONTENT_TYPE);
    }
    for deletion in deletions {
        headers.append(SET_COOKIE, deletion.clone());
    }
    Answer {
        status: words.status,
        headers,
        body: words.body.clone().unwrap_or_default(),
    }
}

/// Asks a client for the text of a document, as servers do that do not know its hash (Apollo's automatic persisted queries).
fn ask_for_text(batch: Option<usize>, head: &Parts) -> Answer {
    let extensions = json!({ "code": "PERSISTED_QUERY_NOT_FOUND" });
    let error = json!({ "message": "PersistedQueryNotFound", "extensions": extensions });
    let one = json!({ "errors": [error] });
    let body = match batch {
        Some(count) => Value::Array(vec![one; count]),
        None => one,
    };
    Answer {
        status: StatusCode::OK,
        headers: base_headers(head, JSON),
        body: body.to_string().into(),
    }
}

/// The answer to a preflight of Doorward's own logout. A page of another origin may call it with a bearer; with a cookie the
/// call itself is refused.
pub fn preflight(head: &Parts) -> Answer {
    let mut headers = base_headers(head, JSON);
    headers.remove(CONTENT_TYPE);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST"),
    );
    let asked = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(allowed) = asked.and_then(allowed_headers) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    Answer {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Bytes::new(),
    }
}

/// The headers that a page asked for, without those that only proxies may set.
fn allowed_headers(asked: &HeaderValue) -> Option<HeaderValue> {
    let is_of_proxies = |name: &&str| {
        let name = name.trim().to_ascii_lowercase();
        name.starts_with("x-forwarded-") || name == "forwarded"
    };
    let asked = asked.to_str().ok()?;
    if !asked.split(',').any(|name| is_of_proxies(&name)) {
        return HeaderValue::try_from(asked).ok();
    }
    let rest: Vec<_> = asked
        .split(',')
        .filter(|name| !is_of_proxies(name))
        .collect();
    HeaderValue::try_from(rest.join(",")).ok()
}

/// The headers of every answer: not to be stored (standards 23), and readable by the page that asked.
fn base_headers(head: &Parts, content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = head.headers.get(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    headers
}
