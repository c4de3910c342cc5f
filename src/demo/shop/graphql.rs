//! GraphQL over HTTP, as far as the pretend shops read it: which root fields a text names, and with what arguments.
//!
//! A word of the text counts, whatever it stands for. That is enough for a shop that only ever hears honest requests;
//! what a proxy has to make of the others is not decided here.

use serde_json::{Value, json};

use super::wire::{SeenRequest, ShopAnswer};

/// One operation of a request.
pub(super) struct GraphQlOperation {
    pub(super) text: String,
    variables: Value,
}

impl GraphQlOperation {
    fn from_request(request: &Value) -> Self {
        Self {
            text: request["query"].as_str().unwrap_or_default().to_owned(),
            variables: request["variables"].clone(),
        }
    }

    /// Whether this is a word of the text.
    pub(super) fn names(&self, field: &str) -> bool {
        let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut words = self.text.split(|letter| !is_of_word(letter));
        words.any(|word| word == field)
    }

    /// An argument or input field: a variable of that name, or a literal string; else empty.
    pub(super) fn argument(&self, name: &str) -> String {
        let places = [&self.variables, &self.variables["input"]];
        let variable = places.iter().find_map(|place| place[name].as_str());
        let argument = variable.or_else(|| literal(&self.text, name));
        argument.unwrap_or_default().to_owned()
    }
}

/// `name: "literal"`, without escapes.
fn literal<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.match_indices(name).find_map(|(at, _)| {
        let value = text[at + name.len()..].trim_start().strip_prefix(':')?;
        let (literal, _) = value.trim_start().strip_prefix('"')?.split_once('"')?;
        Some(literal)
    })
}

/// The operations of a request, in order: of its JSON body, alone or in a list, or of its query string.
pub(super) fn operations(request: &SeenRequest) -> Vec<GraphQlOperation> {
    let body = request.json();
    if let Some(batch) = body.as_array() {
        return batch.iter().map(GraphQlOperation::from_request).collect();
    }
    if body["query"].is_string() {
        return vec![GraphQlOperation::from_request(&body)];
    }
    let variables = request.query("variables").unwrap_or_default();
    let variables = serde_json::from_str(&variables).unwrap_or(Value::Null);
    let operation = |text| GraphQlOperation { text, variables };
    request.query("query").map(operation).into_iter().collect()
}

/// Performs each operation and answers as they came: one, or a list.
pub(super) fn answer(
    request: &SeenRequest,
    perform: impl Fn(&GraphQlOperation) -> Value,
) -> ShopAnswer {
    let mut results: Vec<Value> = operations(request).iter().map(perform).collect();
    if request.json().is_array() {
        return ShopAnswer::json(200, &Value::Array(results));
    }
    match results.pop() {
        Some(result) => ShopAnswer::json(200, &result),
        None => ShopAnswer::json(400, &error("GraphQL query is missing", &json!({}))),
    }
}

/// The result of an operation that failed.
pub(super) fn error(message: &str, extensions: &Value) -> Value {
    json!({"errors": [{"message": message, "extensions": extensions}]})
}
