//! How a shop's GraphQL is read.

use std::sync::Arc;

use super::learnt_documents::LearntDocuments;

/// How a shop's GraphQL is read.
#[derive(Debug, Default)]
pub struct GraphQlSettings {
    /// What becomes of a hash whose document is not known here.
    pub unknown_hash: UnknownHash,
    /// What becomes of bodies that can't be examined.
    pub unread_body: UnreadBody,
    /// The documents that are known by their hashes.
    pub learnt: Arc<LearntDocuments>,
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
