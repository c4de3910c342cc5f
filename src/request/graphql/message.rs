//! Where GraphQL stands in a request (GraphQL over HTTP, and what servers beside it take): in the query, in a
//! JSON body or a batch of them, in a form, or as the body itself.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::unread::Unread;
use crate::request::calls::Request;
use crate::request::payload::{content_type, has_part, is_called, json, only_parameter};

/// How many requests a batch may have.
const BATCH_MAX: usize = 256;

/// The parameters with the name of a stored document, beside `extensions.persistedQuery.sha256Hash`.
const IDS: [&str; 4] = ["documentId", "id", "doc_id", "queryId"];

/// A GraphQL request in one place of the HTTP request.
#[derive(Clone, Default)]
pub(super) struct Message {
    /// The texts of documents.
    pub(super) texts: Vec<String>,
    /// The names of stored documents.
    pub(super) ids: Vec<DocumentId>,
    /// Which operations are to be executed.
    pub(super) operations: Vec<String>,
    /// The variables.
    pub(super) variables: Vec<Value>,
}

/// The name of a stored document.
#[derive(Clone)]
pub(super) struct DocumentId {
    /// The name.
    pub(super) text: String,
    /// Whether it is a hash: then the client knows the text.
    pub(super) is_hash: bool,
}

/// All GraphQL requests in an HTTP request.
#[derive(Default)]
pub(super) struct Messages {
    /// In its query.
    of_query: Message,
    /// In its body; several in a batch.
    of_body: Vec<Message>,
    /// Whether the body is a batch.
    pub(super) is_batch: bool,
    /// The worst of what could not be read.
    pub(super) unread: Option<Unread>,
}

impl Message {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.ids.is_empty()
    }

    /// A JSON object. Some servers compare names without case.
    fn from_object(object: &Map<String, Value>) -> Result<Self, Unread> {
        let mut message = Self::default();
        for (name, value) in object {
            message.set_member(name, Cow::Borrowed(value))?;
        }
        Ok(message)
    }

    /// The pairs of a query or a form.
    fn from_pairs(pairs: &[u8]) -> Result<Self, Unread> {
        let mut message = Self::default();
        let named = ["query", "operationName"].into_iter().chain(IDS);
        for name in named {
            let value = only_parameter(name, pairs).map_err(|_| Unread::Ambiguous)?;
            if let Some(value) = value {
                message.set_member(name, Cow::Owned(Value::String(value.into_owned())))?;
            }
        }
        for name in ["variables", "extensions"] {
            for value in values(name, pairs)? {
                message.set_member(name, Cow::Owned(value))?;
            }
        }
        Ok(message)
    }

    fn set_member(&mut self, name: &str, value: Cow<'_, Value>) -> Result<(), Unread> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("query") {
            self.texts.extend(text(&value));
        } else if is("operationName") {
            self.operations.extend(text(&value));
        } else if is("variables") {
            self.variables.extend(object(value)?);
        } else if is("extensions") {
            let hashes = object(value)?;
            let hashes = hashes.iter().flat_map(|one| members(one, "persistedQuery"));
            let hashes = hashes.flat_map(|one| members(one, "sha256Hash"));
            self.add_ids(hashes.filter_map(text), true);
        } else if IDS.iter().any(|id| is(id)) {
            self.add_ids(text(&value), false);
        }
        Ok(())
    }

    fn add_ids(&mut self, texts: impl IntoIterator<Item = String>, is_hash: bool) {
        let names = texts.into_iter().map(|text| DocumentId { text, is_hash });
        self.ids.extend(names);
    }

    fn with(mut self, other: &Self) -> Self {
        self.texts.extend_from_slice(&other.texts);
        self.ids.extend_from_slice(&other.ids);
        self.operations.extend_from_slice(&other.operations);
        self.variables.extend_from_slice(&other.variables);
        self
    }
}

impl Messages {
    /// Finds the GraphQL requests in an HTTP request.
    pub(super) fn find(request: &Request<'_>) -> Self {
        let mut messages = Self::default();
        if let Some(query) = request.head.uri.query() {
            match Message::from_pairs(query.as_bytes()) {
                Ok(message) => messages.of_query = message,
                Err(unread) => messages.note(unread),
            }
        }
        if let Some(body) = request.body.filter(|body| !body.is_empty())
            && let Err(unread) = messages.parse_body(body, &content_type(request))
        {
            messages.note(unread);
        }
        messages
    }

    /// The requests that have a document, each with what the query says: servers differ about which of the two they use.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        let mut all = std::mem::take(&mut self.of_body);
        if all.is_empty() {
            all.push(Message::default());
        }
        let all = all.into_iter().map(|message| message.with(&self.of_query));
        all.filter(|message| !message.is_empty()).collect()
    }

    fn note(&mut self, unread: Unread) {
        self.unread = self.unread.max(Some(unread));
    }

    /// Parses a body, whatever its `Content-Type`.
    fn parse_body(&mut self, body: &[u8], kind: &str) -> Result<(), Unread> {
        if kind.contains("multipart/") {
            // Reading multipart as every shop does is a parser of its own.
            let parts = ["operations", "query"].into_iter().chain(IDS);
            if parts.into_iter().any(|name| has_part(name, body)) {
                return Err(Unread::Multipart);
            }
        }
        let bare = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let says_json = kind.contains("json");
        let looks_like_it = matches!(bare.trim_ascii_start().first(), Some(b'{' | b'['));
        if says_json || looks_like_it {
            if let Some(value) = json::parse(bare) {
                self.parse_json_body(&value)?;
                if says_json && !kind.contains("form") {
                    return Ok(());
                }
            } else if says_json || serde_json::from_slice::<IgnoredAny>(bare).is_ok() {
                // JSON to others, perhaps with a name that stands twice.
                return Err(Unread::NoJson);
            }
        }
        if kind.contains("graphql") {
            let text = std::str::from_utf8(body).map_err(|_| Unread::NoDocument)?;
            self.of_body.push(Message {
                texts: vec![text.to_owned()],
                ..Message::default()
            });
        } else if !kind.starts_with("multipart/") {
            self.of_body.push(Message::from_pairs(body)?);
        }
        Ok(())
    }

    fn parse_json_body(&mut self, body: &Value) -> Result<(), Unread> {
        let one = std::slice::from_ref(body);
        let all = body.as_array().map_or(one, Vec::as_slice);
        if all.len() > BATCH_MAX {
            return Err(Unread::TooMuch);
        }
        self.is_batch = body.is_array();
        for object in all.iter().filter_map(Value::as_object) {
            self.of_body.push(Message::from_object(object)?);
        }
        Ok(())
    }
}

/// A string that is not empty, or a number as a text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An object, or one in a string.
fn object(value: Cow<'_, Value>) -> Result<Option<Value>, Unread> {
    match value.as_ref() {
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => json::parse(text.as_bytes())
            .map(Some)
            .ok_or(Unread::Ambiguous),
        Value::Object(_) => Ok(Some(value.into_owned())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Ok(None),
    }
}

fn members<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let members = value.as_object().into_iter().flatten();
    let named = members.filter(|(given, _)| given.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

/// The values of a parameter that may be an array in the way of PHP, `name[a][b]=value`.
fn values(name: &str, pairs: &[u8]) -> Result<Vec<Value>, Unread> {
    let mut nested = Vec::new();
    for (given, value) in form_urlencoded::parse(pairs) {
        if let Some((base, rest)) = given.split_once('[')
            && is_called(base, name)
        {
            let keys = rest.split(['[', ']']).filter(|key| !key.is_empty());
            let keys: Vec<_> = keys.collect();
            let value = Value::String(value.into_owned());
            let wrap =
                |inner, key: &&str| Value::Object(Map::from_iter([((*key).to_owned(), inner)]));
            nested.push(keys.iter().rev().fold(value, wrap));
        }
    }
    if nested.is_empty() {
        let only = only_parameter(name, pairs).map_err(|_| Unread::Ambiguous)?;
        nested.extend(only.map(|text| Value::String(text.into_owned())));
    }
    Ok(nested)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request says: texts, ids, operations and variables of each of its messages.
    fn said(target: &str, kind: &str, body: &str) -> Result<Vec<String>, Unread> {
        let head = http::Request::builder()
            .uri(target)
            .header("content-type", kind)
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let mut messages = Messages::find(&Request::new(&head, Some(body.as_bytes())));
        let all = messages.take_messages();
        if let Some(unread) = messages.unread {
            return Err(unread);
        }
        let told = all.iter().map(|one| {
            let ids: Vec<_> = one.ids.iter().map(|id| id.text.as_str()).collect();
            let variables: Vec<_> = one.variables.iter().map(Value::to_string).collect();
            let parts = [
                one.texts.join("+"),
                ids.join("+"),
                one.operations.join("+"),
                variables.join("+"),
            ];
            parts.join("|")
        });
        Ok(told.collect())
    }

    #[test]
    fn a_message_is_found_in_every_place_and_places_are_joined() {
        let json = "application/json";
        let body = r#"{"query":"{a}","variables":{"x":1},"operationName":"A"}"#;
        assert_eq!(said("/", json, body).unwrap(), [r#"{a}||A|{"x":1}"#]);
        assert_eq!(said("/", "", body).unwrap(), [r#"{a}||A|{"x":1}"#]);
        let joined = said("/?query={b}&operationName=B", json, body).unwrap();
        assert_eq!(joined, [r#"{a}+{b}||A+B|{"x":1}"#]);
        let batch = said("/", json, r#"[{"query":"{a}"},1,{"id":7},{}]"#).unwrap();
        assert_eq!(batch, ["{a}|||", "|7||"]);
        let hash = r#"{"extensions":{"persistedQuery":{"sha256Hash":"h"}},"QUERY":""}"#;
        assert_eq!(said("/", json, hash).unwrap(), ["|h||"]);
        let form = "application/x-www-form-urlencoded";
        let pairs = "query={a}&variables[x][y]=1&variables[z]=2&extensions={}";
        let nested = [r#"{a}|||{"x":{"y":"1"}}+{"z":"2"}"#];
        assert_eq!(said("/", form, pairs).unwrap(), nested);
        assert_eq!(
            said("/?variables={}", "application/graphql", "{a}").unwrap(),
            ["{a}|||{}"]
        );
        for nothing in ["", "[]", "{}", "1", r#"{"query":{"a":1}}"#, "a=b"] {
            assert!(said("/", "", nothing).unwrap().is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_told() {
        let json = "application/json";
        assert_eq!(said("/", json, "{"), Err(Unread::NoJson));
        assert_eq!(said("/", "", r#"{"a":1,"a":2}"#), Err(Unread::NoJson));
        assert_eq!(said("/?query=a&query=b", "", ""), Err(Unread::Ambiguous));
        assert_eq!(said("/?query=a;query=b", "", ""), Err(Unread::Ambiguous));
        assert_eq!(said("/?variables=x", "", ""), Err(Unread::Ambiguous));
        let part = "--b\r\nContent-Disposition: form-data; name=operations\r\n\r\n{}";
        assert_eq!(
            said("/", "multipart/form-data; boundary=b", part),
            Err(Unread::Multipart)
        );
        let batch = format!("[{}{{}}]", "{},".repeat(BATCH_MAX));
        assert_eq!(said("/", json, &batch), Err(Unread::TooMuch));
    }
}
