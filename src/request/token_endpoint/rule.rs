//! Rules for calls at which a shop issues tokens, such as login, refresh and registration. The answer dates the tokens.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::clock::UnixTime;
use crate::request::calls::Call;
use crate::request::cookie::SetCookie;
use crate::request::credential::NamePattern;
use crate::request::payload::{Pointer, json};
use crate::request::token::name_from_json;

/// A call at which the shop issues tokens, and where its answer holds them.
#[derive(Debug)]
pub struct TokenEndpoint {
    /// How it is called.
    pub call: Call,
    /// Where they stand in a JSON answer.
    pub pointers: Vec<Pointer>,
    /// The headers of the answer that carry one.
    pub headers: Vec<HeaderName>,
    /// The cookies of the answer that carry one.
    pub cookies: Vec<NamePattern>,
    /// Where a JSON answer names the customer.
    pub subject: Option<Pointer>,
}

/// What happens to a revoked token that the shop issues again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReissue {
    /// It stays revoked.
    #[default]
    Refuse,
    /// It is accepted again, until the next logout.
    Revive,
}

/// The tokens of an answer, as text.
#[derive(Default)]
pub struct AnswerTokens {
    pub(in crate::request) texts: Vec<String>,
    pub(in crate::request) customer: Option<String>,
}

/// How many texts of one answer are examined; no login issues as many tokens.
const TEXTS_MAX: usize = 64;

/// No token is shorter.
const TOKEN_BYTES_MIN: usize = 16;

impl TokenEndpoint {
    /// Whether tokens may stand in the body of the answer.
    pub fn reads_body(&self) -> bool {
        !self.pointers.is_empty()
    }

    /// The tokens in the head of an answer.
    pub fn tokens_of_head(&self, headers: &HeaderMap, now: UnixTime) -> AnswerTokens {
        let named = self.headers.iter();
        let lines = named.flat_map(|name| headers.get_all(name));
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut texts: Vec<String> = lines.map(str::to_owned).collect();
        for line in headers.get_all(SET_COOKIE) {
            let cookie = line.to_str().ok().and_then(SetCookie::parse);
            let Some(cookie) = cookie.filter(|cookie| cookie.sets(now)) else {
                continue;
            };
            if self.cookies.iter().any(|name| name.matches(cookie.name)) {
                texts.push(cookie.value.trim_matches('"').to_owned());
            }
        }
        texts.truncate(TEXTS_MAX);
        AnswerTokens {
            texts,
            customer: None,
        }
    }

    /// The tokens in the body of an answer, which may be a single token; `None`: it is not JSON.
    pub fn tokens_of_body(&self, body: &[u8]) -> Option<AnswerTokens> {
        let said = json::parse_answer(body)?;
        let one = std::slice::from_ref(&said);
        let answers = said.as_array().map_or(one, Vec::as_slice); // of a batch of GraphQL there are several
        let mut texts = Vec::new();
        texts.extend(said.as_str().map(str::to_owned)); // the token alone
        for answer in answers {
            let found = self.pointers.iter();
            let found = found.flat_map(|pointer| pointer.find_all(answer));
            texts.extend(found.filter_map(Value::as_str).map(str::to_owned));
        }
        if texts.is_empty() && self.call.graphql.is_some() {
            // The client may have used aliases.
            for answer in answers {
                strings_of(answer, &mut texts);
            }
        }
        texts.truncate(TEXTS_MAX);
        let subject = self.subject.as_ref();
        let customer = subject.and_then(|subject| answers.iter().find_map(|one| subject.find(one)));
        Some(AnswerTokens {
            texts,
            customer: customer.and_then(name_from_json),
        })
    }
}

/// The texts of a JSON value that could be tokens.
fn strings_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if text.len() >= TOKEN_BYTES_MIN && !text.contains(char::is_whitespace) {
                texts.push(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings_of(item, texts)),
        Value::Object(members) => members.values().for_each(|one| strings_of(one, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::calls::PathPattern;
    use crate::request::graphql::GraphQlCondition;
    use http::Method;

    fn rule(pointer: &str, graphql: &[&str]) -> TokenEndpoint {
        let fields: Vec<_> = graphql.iter().map(|field| (*field).to_owned()).collect();
        TokenEndpoint {
            call: Call {
                methods: vec![Method::POST],
                paths: vec![PathPattern::parse("/login").unwrap()],
                conditions: Vec::new(),
                graphql: (!fields.is_empty()).then(|| GraphQlCondition::new(fields, &[])),
            },
            pointers: vec![Pointer::parse(pointer).unwrap()],
            headers: vec![HeaderName::from_static("x-token")],
            cookies: vec![NamePattern::parse("sid_*").unwrap()],
            subject: Some(Pointer::parse("/id").unwrap()),
        }
    }

    #[test]
    fn tokens_are_found_where_the_rule_says() {
        let rule = rule("/data/token", &[]);
        let found = rule
            .tokens_of_body(br#"{"data":{"token":"abc"},"id":7}"#)
            .unwrap();
        assert_eq!(
            (found.texts, found.customer),
            (vec!["abc".to_owned()], Some("7".to_owned()))
        );
        assert_eq!(rule.tokens_of_body(b"\"abc\"").unwrap().texts, ["abc"]);
        assert!(rule.tokens_of_body(b"<html>").is_none());
        assert!(rule.tokens_of_body(b"{}").unwrap().texts.is_empty());
    }

    #[test]
    fn fields_of_graphql_may_be_called_otherwise() {
        let rule = rule("/data/login/accessToken", &["login"]);
        let aliased =
            br#"[{"data":{"l":{"t":"abcdefghijklmnopqrst","name":"Jo Doe of Somewhere"}}}]"#;
        let found = rule.tokens_of_body(aliased).unwrap();
        assert_eq!(found.texts, ["abcdefghijklmnopqrst"]);
    }

    #[test]
    fn headers_and_cookies_are_read_as_a_browser_does() {
        let rule = rule("/token", &[]);
        let mut headers = HeaderMap::new();
        headers.append("x-token", "abc".parse().unwrap());
        for line in [
            "sid_1=def; Path=/; HttpOnly",
            "sid_2=gone; Max-Age=0",
            "theme=dark",
        ] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        let found = rule.tokens_of_head(&headers, UnixTime::from_seconds(1_790_000_000));
        assert_eq!(found.texts, ["abc", "def"]);
    }
}
