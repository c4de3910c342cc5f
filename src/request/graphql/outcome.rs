//! What a GraphQL request with a logout executes, and the answer to it: every field under the key that the client chose, and
//! every request of a batch in its position.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::condition::GraphQlCondition;
use super::execution::Execution;
use super::reading::GraphQlReading;
use crate::request::answers::{Refusal, Words};
use crate::request::payload::json;

/// What is executed beside a logout, and under which keys.
pub(in crate::request) struct GraphQlOutcome {
    executions: Vec<Vec<ExecutedField>>,
    is_batch: bool,
}

/// A root field that is executed.
struct ExecutedField {
    key: String,
    name: String,
    is_logout: bool,
}

impl GraphQlCondition {
    /// What is executed beside this logout.
    pub(in crate::request) fn outcome(&self, reading: &GraphQlReading) -> GraphQlOutcome {
        let executions = reading.executions.iter();
        GraphQlOutcome {
            executions: executions.map(|one| self.fields_of(one)).collect(),
            is_batch: reading.is_batch,
        }
    }

    fn fields_of(&self, execution: &Execution) -> Vec<ExecutedField> {
        let mut fields: Vec<ExecutedField> = Vec::new();
        for operation in execution.operations() {
            for root in &operation.roots {
                if !fields.iter().any(|field| field.key == root.key) {
                    fields.push(ExecutedField {
                        key: root.key.clone(),
                        name: root.name.clone(),
                        is_logout: operation.is_mutation && self.fields.contains(&root.name),
                    });
                }
            }
        }
        if fields.is_empty() && self.names_document_of(execution) {
            let field = self.fields.first().cloned().unwrap_or_default();
            fields.push(ExecutedField {
                key: field.clone(),
                name: field,
                is_logout: true,
            });
        }
        fields
    }
}

impl GraphQlOutcome {
    /// Whether nothing but the logout is executed, so that it need not be forwarded.
    pub(in crate::request) fn is_pure(&self) -> bool {
        let is_pure = |fields: &Vec<ExecutedField>| {
            !fields.is_empty() && fields.iter().all(|field| field.is_logout)
        };
        self.executions.iter().all(is_pure)
    }

    /// The rule's words, `{"data":{"field":…}}`, in the shape that this client expects. Fields that were not executed are
    /// errors.
    pub(in crate::request) fn words(&self, words: &Words) -> Words {
        let body = words.body.as_ref().and_then(|body| json::parse(body));
        let Some(Value::Object(said)) = body.as_ref().and_then(|body| body.get("data")) else {
            return words.clone();
        };
        let mut answers: Vec<_> = self
            .executions
            .iter()
            .map(|one| answer(one, said))
            .collect();
        let answer = if self.is_batch {
            Value::Array(answers)
        } else {
            answers.pop().unwrap_or_default()
        };
        Words {
            body: Some(Bytes::from(answer.to_string())),
            ..words.clone()
        }
    }

    /// The shop's answers to its logouts, each without aliases.
    pub(in crate::request) fn plain(&self, answer: &[u8]) -> Vec<Vec<u8>> {
        let Some(answer) = json::parse_answer(answer) else {
            return Vec::new();
        };
        let one = std::slice::from_ref(&answer);
        let answers = answer.as_array().map_or(one, Vec::as_slice);
        let answered = self.executions.iter().zip(answers);
        let plain = answered.flat_map(|(fields, answer)| {
            let logouts = fields.iter().filter(|field| field.is_logout);
            logouts.map(|field| plain(field, answer))
        });
        plain.collect()
    }
}

fn answer(fields: &[ExecutedField], said: &Map<String, Value>) -> Value {
    let mut data = Map::new();
    let mut errors = Vec::new();
    for field in fields {
        if field.is_logout {
            let value = said.get(&field.name).or_else(|| said.values().next());
            data.insert(field.key.clone(), value.cloned().unwrap_or_default());
        } else {
            data.insert(field.key.clone(), Value::Null);
            let message = Refusal::UpstreamFailed.message();
            errors.push(json!({ "message": message, "path": [field.key] }));
        }
    }
    if errors.is_empty() {
        json!({ "data": data })
    } else {
        json!({ "data": data, "errors": errors })
    }
}

fn plain(field: &ExecutedField, answer: &Value) -> Vec<u8> {
    let mut plain = answer.clone();
    if let Some(data) = plain.get_mut("data").and_then(Value::as_object_mut) {
        let value = data.remove(&field.key).unwrap_or_default();
        data.insert(field.name.clone(), value);
    }
    plain.to_string().into_bytes()
}
