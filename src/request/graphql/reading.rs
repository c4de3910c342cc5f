//! The GraphQL of a request, as the laxest server reads it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::document::QueryDocument;
use super::execution::Execution;
use super::learnt_documents::{LearntDocuments, hash_in, hash_of};
use super::message::{Message, Messages};
use super::settings::UnreadBody;
use super::unread::Unread;
use crate::request::answers::Refusal;
use crate::request::calls::Request;

/// The GraphQL that a request executes.
pub(in crate::request) struct GraphQlReading {
    pub(super) executions: Vec<Execution>,
    pub(super) is_batch: bool,
    unread: Option<Unread>,
}

impl GraphQlReading {
    /// Reads a request.
    pub(in crate::request) fn new(request: &Request<'_>, learnt: &LearntDocuments) -> Self {
        let mut messages = Messages::find(request);
        let mut reader = DocumentReader {
            learnt,
            documents: HashMap::new(),
            unread: messages.unread,
        };
        let all = messages.take_messages().into_iter();
        let executions = all.map(|message| reader.execution(message)).collect();
        Self {
            executions,
            is_batch: messages.is_batch,
            unread: reader.unread,
        }
    }

    /// Refuses a request whose GraphQL could not be read. Where no rule is about GraphQL, most bodies are something else.
    pub(in crate::request) fn refuse_unread(
        &self,
        is_ruled: bool,
        has_credentials: bool,
        unread_body: UnreadBody,
    ) -> Result<(), Refusal> {
        let refuses = unread_body == UnreadBody::Refuse;
        match self.unread {
            Some(Unread::NoJson) => Err(Refusal::MalformedCredential),
            Some(Unread::Ambiguous) if is_ruled => Err(Refusal::MalformedCredential),
            // The shop probably refuses it, too; if its parser does not, a revoked token must not pass.
            Some(Unread::NoDocument) if is_ruled && has_credentials => {
                Err(Refusal::MalformedCredential)
            }
            Some(Unread::TooMuch) if refuses => Err(Refusal::UnreadableBody),
            Some(Unread::Multipart) if refuses && is_ruled => Err(Refusal::UnreadableBody),
            Some(Unread::Ambiguous | Unread::NoDocument | Unread::TooMuch | Unread::Multipart)
            | None => Ok(()),
        }
    }

    /// Whether a document is named that is neither known here nor named by a rule.
    pub(in crate::request) fn has_unknown(&self, is_trusted: impl Fn(&str) -> bool) -> bool {
        let mut unknown = self.executions.iter().filter(|one| one.is_unknown);
        unknown.any(|one| !one.ids.iter().any(|id| is_trusted(&id.text)))
    }

    /// The length of the batch, if it is one.
    pub(in crate::request) fn batch(&self) -> Option<usize> {
        self.is_batch.then_some(self.executions.len())
    }

    /// The texts of arguments and input fields of this name, each once; at most `most` and one more.
    pub(in crate::request) fn credentials(&self, name: &str, most: usize) -> Vec<String> {
        let mut found = Vec::new();
        for execution in &self.executions {
            execution.visit_credentials(name, &mut |text: &str| {
                let is_new = !text.is_empty() && !found.iter().any(|known| known == text);
                if is_new && found.len() <= most {
                    found.push(text.to_owned());
                }
            });
        }
        found
    }
}

/// Parses documents, each text once: a batch may repeat it.
struct DocumentReader<'l> {
    learnt: &'l LearntDocuments,
    documents: HashMap<String, Option<Arc<QueryDocument>>>,
    unread: Option<Unread>,
}

impl DocumentReader<'_> {
    fn execution(&mut self, message: Message) -> Execution {
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
            let hash = hash_in(&id.text);
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

    fn document(&mut self, text: String) -> Option<Arc<QueryDocument>> {
        let entry = match self.documents.entry(text) {
            Entry::Occupied(known) => return known.get().clone(),
            Entry::Vacant(entry) => entry,
        };
        let document = match QueryDocument::parse(entry.key()) {
            Ok(document) => Some(Arc::new(document)),
            Err(unread) => {
                self.unread = self.unread.max(Some(unread));
                None
            }
        };
        entry.insert(document).clone()
    }
}
