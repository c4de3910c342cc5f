//! GraphQL: which operations a request executes, and the credentials in their arguments.
//!
//! A logout is known by the root field of the mutation that is executed, never by a word in the text.

mod document;
mod learnt;
mod message;
mod outcome;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use super::refusal::Refusal;
use super::request::Request;
use document::{Document, Given, Operation};
use learnt::{hash_of, said};
use message::{Message, Messages, Name};

pub use learnt::Learnt;
pub(super) use outcome::Outcome;

/// How a shop's GraphQL is read.
#[derive(Debug, Default)]
pub struct GraphQlSettings {
    /// What becomes of a hash whose document is not known here.
    pub unknown_hash: UnknownHash,
    /// What becomes of bodies that can't be examined.
    pub unread_body: UnreadBody,
    /// The documents that are known by their hashes.
    pub learnt: Arc<Learnt>,
}

/// What becomes of a request that names its document by a hash which is not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHash {
    /// The client is asked for the text.
    #[default]
    Ask,
    /// It goes to the shop.
    Forward,
}

/// What becomes of a request whose body should be examined and can't be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnreadBody {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes to the shop, judged by all else.
    Forward,
}

/// Which mutations a rule is about.
#[derive(Debug)]
pub struct GraphQlCondition {
    /// Its root fields.
    fields: Vec<String>,
    /// The names of stored documents that are such mutations.
    persisted: Vec<String>,
}

/// Why something of a request could not be read; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unread {
    /// A text is no GraphQL document.
    NoDocument,
    /// It may stand in a part of a multipart body.
    Multipart,
    /// A text, or a batch, is over the limits.
    TooMuch,
    /// Two servers could read it differently.
    Ambiguous,
    /// The body is no JSON, or not to everybody the same.
    NoJson,
}

/// What a request has executed.
pub(super) struct Reading {
    executions: Vec<Execution>,
    is_batch: bool,
    unread: Option<Unread>,
}

/// One document to execute, or what several servers would take for it.
struct Execution {
    documents: Vec<Arc<Document>>,
    /// The names of stored documents that came.
    ids: Vec<Name>,
    /// Whether there is a name without its document.
    is_unknown: bool,
    /// Which operations are to be executed; none: the only one.
    operations: Vec<String>,
    variables: Vec<Value>,
}

impl GraphQlCondition {
    /// Of these root fields of mutations, and these stored documents.
    pub fn new(fields: Vec<String>, persisted: &[String]) -> Self {
        let persisted = persisted.iter().map(|id| plain(id));
        Self {
            fields,
            persisted: persisted.collect(),
        }
    }

    /// The root fields.
    pub(super) fn fields(&self) -> &[String] {
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

    /// Whether a request executes such a mutation, by what was read of it.
    pub(super) fn holds(&self, reading: Option<&Reading>) -> bool {
        let executions = reading.into_iter();
        let mut executions = executions.flat_map(|reading| &reading.executions);
        executions.any(|one| self.trusts_one_of(one) || self.is_executed_by(one))
    }

    fn is_executed_by(&self, execution: &Execution) -> bool {
        let mut mutations = execution.operations().filter(|one| one.is_mutation);
        mutations.any(|one| {
            one.roots
                .iter()
                .any(|root| self.fields.contains(&root.name))
        })
    }

    fn trusts_one_of(&self, execution: &Execution) -> bool {
        execution.ids.iter().any(|id| self.trusts(&id.text))
    }

    /// Whether a stored document of this name is such a mutation.
    pub(super) fn trusts(&self, id: &str) -> bool {
        self.persisted.contains(&plain(id))
    }
}

/// The name of a stored document as it is compared.
fn plain(id: &str) -> String {
    match said(id) {
        Some(_) => id.trim_start_matches("sha256:").to_ascii_lowercase(),
        None => id.to_owned(),
    }
}

impl Reading {
    /// Reads a request.
    pub(super) fn of(request: &Request<'_>, learnt: &Learnt) -> Self {
        let mut messages = Messages::of(request);
        let mut reader = Reader {
            learnt,
            documents: HashMap::new(),
            unread: messages.unread,
        };
        let all = messages.take_all().into_iter();
        let executions = all.map(|message| reader.read(message)).collect();
        Self {
            executions,
            is_batch: messages.is_batch,
            unread: reader.unread,
        }
    }

    /// Whether something that is executed could not be read, so that the request can't be judged. Where no rule
    /// speaks of GraphQL, most of it is none.
    pub(super) fn refuse_unread(
        &self,
        is_ruled: bool,
        has_credentials: bool,
        unread_body: UnreadBody,
    ) -> Result<(), Refusal> {
        let refuses = unread_body == UnreadBody::Refuse;
        match self.unread {
            Some(Unread::NoJson) => Err(Refusal::MalformedCredential),
            Some(Unread::Ambiguous) if is_ruled => Err(Refusal::MalformedCredential),
            // The shop refuses it; but if ours is the only parser that does, a dead token must not pass in it.
            Some(Unread::NoDocument) if is_ruled && has_credentials => {
                Err(Refusal::MalformedCredential)
            }
            Some(Unread::TooMuch) if refuses => Err(Refusal::UnreadableBody),
            Some(Unread::Multipart) if refuses && is_ruled => Err(Refusal::UnreadableBody),
            Some(Unread::Ambiguous | Unread::NoDocument | Unread::TooMuch | Unread::Multipart)
            | None => Ok(()),
        }
    }

    /// Whether a document is named that is neither known here nor trusted.
    pub(super) fn has_unknown(&self, is_trusted: impl Fn(&str) -> bool) -> bool {
        let mut unknown = self.executions.iter().filter(|one| one.is_unknown);
        unknown.any(|one| !one.ids.iter().any(|id| is_trusted(&id.text)))
    }

    /// How many answers the request wants, if it is a batch.
    pub(super) fn batch(&self) -> Option<usize> {
        self.is_batch.then_some(self.executions.len())
    }

    /// What is given to arguments and input fields of that name, each text once; at most `most` and one more.
    pub(super) fn credentials(&self, name: &str, most: usize) -> Vec<String> {
        let mut found = Vec::new();
        for execution in &self.executions {
            execution.take_credentials(name, &mut |text: &str| {
                let is_new = !text.is_empty() && !found.iter().any(|known| known == text);
                if is_new && found.len() <= most {
                    found.push(text.to_owned());
                }
            });
        }
        found
    }
}

/// Reads every text once: a batch may repeat the same one.
struct Reader<'l> {
    learnt: &'l Learnt,
    documents: HashMap<String, Option<Arc<Document>>>,
    unread: Option<Unread>,
}

impl Reader<'_> {
    fn read(&mut self, message: Message) -> Execution {
        let mut documents = Vec::new();
        let mut hashes = Vec::new();
        let came_with_text = !message.texts.is_empty();
        let is_named = message.ids.iter().any(|id| id.is_hash);
        for text in message.texts {
            let hash = is_named.then(|| hash_of(&text));
            hashes.extend(hash);
            if let Some(document) = self.document(text) {
                if let Some(hash) = hash {
                    self.learnt.keep(hash, &document);
                }
                documents.push(document);
            }
        }
        let mut is_unknown = false;
        for id in &message.ids {
            let hash = said(&id.text);
            let is_of_text = hash.is_some_and(|hash| hashes.contains(&hash));
            let known = hash.and_then(|hash| self.learnt.find(&hash));
            is_unknown |= known.is_none() && !is_of_text && (id.is_hash || !came_with_text);
            if !is_of_text {
                documents.extend(known);
            }
        }
        Execution {
            documents,
            ids: message.ids,
            is_unknown,
            operations: message.operations,
            variables: message.variables,
        }
    }

    fn document(&mut self, text: String) -> Option<Arc<Document>> {
        let entry = match self.documents.entry(text) {
            Entry::Occupied(known) => return known.get().clone(),
            Entry::Vacant(entry) => entry,
        };
        let document = match Document::read(entry.key()) {
            Ok(document) => Some(Arc::new(document)),
            Err(unread) => {
                self.unread = self.unread.max(Some(unread));
                None
            }
        };
        entry.insert(document).clone()
    }
}

impl Execution {
    /// The operations that are executed. Where several stand and none is named the server refuses; any of them
    /// counts.
    fn operations(&self) -> impl Iterator<Item = &Operation> {
        let all = self.documents.iter().flat_map(|one| &one.operations);
        all.filter(|one| {
            let name = one.name.as_ref();
            self.operations.is_empty() || name.is_some_and(|name| self.operations.contains(name))
        })
    }

    /// What is given in any operation: which of them is executed does not matter for a dead token.
    fn take_credentials(&self, name: &str, take: &mut impl FnMut(&str)) {
        for document in &self.documents {
            for given in document.given_to(name) {
                match given {
                    Given::Text(text) => take(text),
                    Given::Variable(variable) => {
                        document.defaults_of(variable).for_each(&mut *take);
                        for variables in &self.variables {
                            take_texts(variables.get(variable), take);
                        }
                    }
                }
            }
        }
        self.variables
            .iter()
            .for_each(|one| take_named(name, one, take));
    }
}

/// The texts of a value that may be a list.
fn take_texts(value: Option<&Value>, take: &mut impl FnMut(&str)) {
    match value {
        Some(Value::String(text)) => take(text),
        Some(Value::Number(number)) => take(&number.to_string()),
        Some(Value::Array(items)) => {
            for item in items {
                take_texts(Some(item), take);
            }
        }
        Some(Value::Object(_) | Value::Null | Value::Bool(_)) | None => {}
    }
}

/// The texts of every member of that name, at any depth.
fn take_named(name: &str, value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == name {
                    take_texts(Some(member), take);
                }
                take_named(name, member, take);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| take_named(name, item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
