//! One GraphQL document that a request executes, and the values of its arguments.

use std::sync::Arc;

use serde_json::Value;

use super::document::{ArgumentValue, QueryDocument, QueryOperation};
use super::message::DocumentId;

/// One document to execute, in the readings of different servers.
pub(super) struct Execution {
    pub(super) documents: Vec<Arc<QueryDocument>>,
    /// The names of stored documents in the request.
    pub(super) ids: Vec<DocumentId>,
    /// Whether there is a name without its document.
    pub(super) is_unknown: bool,
    /// Which operations are to be executed; none: the only one.
    pub(super) operations: Vec<String>,
    pub(super) variables: Vec<Value>,
}

impl Execution {
    /// The operations that are executed. Where several stand and none is named the server refuses; any of them
    /// counts.
    pub(super) fn operations(&self) -> impl Iterator<Item = &QueryOperation> {
        let all = self.documents.iter().flat_map(|one| &one.operations);
        all.filter(|one| {
            let name = one.name.as_ref();
            self.operations.is_empty() || name.is_some_and(|name| self.operations.contains(name))
        })
    }

    /// Calls `take` with the texts of arguments of this name, in all operations: a revoked token is refused in any of them.
    pub(super) fn visit_credentials(&self, name: &str, take: &mut impl FnMut(&str)) {
        for document in &self.documents {
            for given in document.given_to(name) {
                match given {
                    ArgumentValue::Text(text) => take(text),
                    ArgumentValue::Variable(variable) => {
                        document.defaults_of(variable).for_each(&mut *take);
                        for variables in &self.variables {
                            visit_texts(variables.get(variable), take);
                        }
                    }
                }
            }
        }
        self.variables
            .iter()
            .for_each(|one| visit_named(name, one, take));
    }
}

/// The texts of a value that may be a list.
fn visit_texts(value: Option<&Value>, take: &mut impl FnMut(&str)) {
    match value {
        Some(Value::String(text)) => take(text),
        Some(Value::Number(number)) => take(&number.to_string()),
        Some(Value::Array(items)) => {
            for item in items {
                visit_texts(Some(item), take);
            }
        }
        Some(Value::Object(_) | Value::Null | Value::Bool(_)) | None => {}
    }
}

/// The texts of every member of that name, at any depth.
fn visit_named(name: &str, value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == name {
                    visit_texts(Some(member), take);
                }
                visit_named(name, member, take);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit_named(name, item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
