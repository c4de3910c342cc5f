//! GraphQL: which operations a request executes, and the credentials in their arguments.
//!
//! A logout is known by the root field of the mutation that is executed, never by a word in the text.

mod condition;
mod document;
mod execution;
mod learnt_documents;
mod message;
mod outcome;
mod reading;
mod settings;
mod unread;

pub use condition::GraphQlCondition;
pub use learnt_documents::LearntDocuments;
pub(super) use outcome::GraphQlOutcome;
pub(super) use reading::GraphQlReading;
pub use settings::{GraphQlSettings, UnknownHash, UnreadBody};
