//! The introspection request about an opaque token, and how the response is read.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixTime;
use crate::request::logout::Agreement;
use crate::request::payload::{Pointer, json};
use crate::request::token::{moment_in_answer, name_from_json};

/// The request by which a shop is asked whether a token is active, and who its customer is.
#[derive(Debug, PartialEq, Eq)]
pub struct IntrospectionRequest {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: PathAndQuery,
    /// Its body; `{token}` stands for the token.
    pub body: Option<Arc<str>>,
    /// Its media type.
    pub content_type: ContentType,
    /// The answer for an active token.
    pub good: Agreement,
    /// Where that answer names the customer.
    pub subject: Pointer,
    /// Where it says when the token was issued, in seconds since the epoch.
    pub issued_at: Option<Pointer>,
    /// How long a result counts.
    pub fresh: Duration,
}

/// The media type of a body, which decides how a token is written into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    /// JSON: the token stands in a string.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// Where an answer about an active token names the customer and the issue time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::request) struct ResponsePointers {
    subject: Pointer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Pointer>,
}

/// What an answer says of an active token.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::request) struct IntrospectionResponse {
    /// The customer, if the shop names one.
    pub(in crate::request) subject: Option<String>,
    /// When it was issued, if the shop says so.
    pub(in crate::request) issued_at: Option<UnixTime>,
    /// The whole response.
    said: Value,
}

impl ResponsePointers {
    /// The pointers as a part of digests.
    pub(in crate::request) fn source_text(&self) -> String {
        let issued_at = self.issued_at.as_ref().map(ToString::to_string);
        format!("asked {} {}", self.subject, issued_at.unwrap_or_default())
    }

    fn response(&self, said: Value) -> IntrospectionResponse {
        let issued_at = self.issued_at.as_ref().and_then(|place| place.find(&said));
        IntrospectionResponse {
            subject: self.subject.find(&said).and_then(name_from_json),
            issued_at: moment_in_answer(issued_at),
            said,
        }
    }
}

impl IntrospectionResponse {
    /// A response that names this customer and nothing else.
    pub(in crate::request) fn for_customer(subject: Option<&str>) -> Self {
        Self {
            subject: subject.map(str::to_owned),
            ..Self::default()
        }
    }

    /// The same response, read with other pointers. If they find no customer, it stays the same.
    pub(in crate::request) fn with_pointers(&self, pointers: &ResponsePointers) -> Self {
        let read = pointers.response(self.said.clone());
        Self {
            subject: read.subject.or_else(|| self.subject.clone()),
            ..read
        }
    }
}

impl IntrospectionRequest {
    /// The body about this token.
    pub fn body_about(&self, token: &str) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        let written = match self.content_type {
            ContentType::Json => {
                let quoted = Value::from(token).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            ContentType::Form => utf8_percent_encode(token, NON_ALPHANUMERIC).to_string(),
        };
        body.replace("{token}", &written)
    }

    /// What an answer says of the token; `None`: it is inactive.
    pub(in crate::request) fn parse_response(
        &self,
        status: StatusCode,
        body: &[u8],
    ) -> Option<IntrospectionResponse> {
        if !self.good.holds(status, body) {
            return None;
        }
        let said = json::parse_answer(body).unwrap_or_default();
        Some(self.pointers().response(said))
    }

    /// Where its answer names the customer and the issue time.
    pub(in crate::request) fn pointers(&self) -> ResponsePointers {
        ResponsePointers {
            subject: self.subject.clone(),
            issued_at: self.issued_at.clone(),
        }
    }
}

impl ContentType {
    /// The value of the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introspection(body: &str, content_type: ContentType) -> IntrospectionRequest {
        IntrospectionRequest {
            method: Method::POST,
            path: PathAndQuery::from_static("/verify"),
            body: Some(body.into()),
            content_type,
            good: Agreement::default(),
            subject: Pointer::parse("/user/id").unwrap(),
            issued_at: Some(Pointer::parse("/iat").unwrap()),
            fresh: Duration::from_mins(1),
        }
    }

    #[test]
    fn a_token_stands_in_a_body_as_its_kind_demands() {
        let token = r#"1|a"b\&c"#;
        let json = introspection(r#"{"token":"{token}"}"#, ContentType::Json);
        assert_eq!(json.body_about(token), r#"{"token":"1|a\"b\\&c"}"#);
        let form = introspection("token={token}&hint=x", ContentType::Form);
        assert_eq!(form.body_about(token), "token=1%7Ca%22b%5C%26c&hint=x");
    }

    #[test]
    fn an_answer_names_the_customer_by_text_or_number() {
        let introspection = introspection("", ContentType::Json);
        let parse_response =
            |body: &str| introspection.parse_response(StatusCode::OK, body.as_bytes());
        let said = parse_response(r#"{"user":{"id":7},"iat":1790000000}"#).unwrap();
        assert_eq!(said.subject.as_deref(), Some("7"));
        assert_eq!(said.issued_at, Some(UnixTime::from_seconds(1_790_000_000)));
        let said = parse_response(r#"{"user":{"id":"7"},"iat":"yesterday"}"#).unwrap();
        assert_eq!((said.subject.as_deref(), said.issued_at), (Some("7"), None));
        assert_eq!(parse_response("true").unwrap().subject, None);
        assert_eq!(
            introspection.parse_response(StatusCode::UNAUTHORIZED, b"{}"),
            None
        );
    }
}
