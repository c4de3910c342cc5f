//! The GraphQL condition of a rule: the mutations that it names.

use super::execution::Execution;
use super::learnt_documents::hash_in;
use super::reading::GraphQlReading;

/// The mutations that a rule names.
#[derive(Debug)]
pub struct GraphQlCondition {
    /// Its root fields.
    pub(super) fields: Vec<String>,
    /// The names of stored documents that are such mutations.
    persisted: Vec<String>,
}

impl GraphQlCondition {
    /// The first of its root fields.
    pub(in crate::request) fn first_field(&self) -> Option<&str> {
        self.fields.first().map(String::as_str)
    }

    /// A condition on these root fields of mutations, or these stored documents.
    pub fn new(fields: Vec<String>, persisted: &[String]) -> Self {
        let persisted = persisted.iter().map(|id| plain(id));
        Self {
            fields,
            persisted: persisted.collect(),
        }
    }

    /// The root fields.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// A name (GraphQL specification section 2.1.9).
    pub fn field(text: &str) -> Result<&str, &'static str> {
        let is_fit = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        let begins = text
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        (begins && text.bytes().all(is_fit))
            .then_some(text)
            .ok_or("the name of a field, such as customerLogout")
    }

    /// Whether a request executes such a mutation.
    pub(in crate::request) fn holds(&self, reading: Option<&GraphQlReading>) -> bool {
        let executions = reading.into_iter();
        let mut executions = executions.flat_map(|reading| &reading.executions);
        executions.any(|one| self.names_document_of(one) || self.is_executed_by(one))
    }

    fn is_executed_by(&self, execution: &Execution) -> bool {
        let mut mutations = execution.operations().filter(|one| one.is_mutation);
        mutations.any(|one| {
            one.roots
                .iter()
                .any(|root| self.fields.contains(&root.name))
        })
    }

    pub(super) fn names_document_of(&self, execution: &Execution) -> bool {
        execution.ids.iter().any(|id| self.names_document(&id.text))
    }

    /// Whether a stored document of this name is such a mutation.
    pub(in crate::request) fn names_document(&self, id: &str) -> bool {
        self.persisted.contains(&plain(id))
    }
}

/// The name of a stored document as it is compared.
fn plain(id: &str) -> String {
    match hash_in(id) {
        Some(_) => id.trim_start_matches("sha256:").to_ascii_lowercase(),
        None => id.to_owned(),
    }
}
