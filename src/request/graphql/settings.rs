//! How a shop's GraphQL is read.

use std::sync::Arc;

use super::learnt_documents::LearntDocuments;

/// How a shop's GraphQL is read.
#[derive(Debug, Default)]
pub struct GraphQlSettings {
    /// What happens to a request with an unknown hash.
    pub unknown_hash: UnknownHash,
    /// What happens to a request whose body can't be examined.
    pub unread_body: UnreadBody,
    /// The documents that are known by their hashes.
    pub learnt: Arc<LearntDocuments>,
}

/// What happens to a request that names its document by an unknown hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHash {
    /// The client is asked for the text.
    #[default]
    Ask,
    /// It is forwarded.
    Forward,
}

/// What happens to a request whose body should be examined and can't be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnreadBody {
    /// It is refused.
    #[default]
    Refuse,
    /// It is forwarded, judged without its body.
    Forward,
}
