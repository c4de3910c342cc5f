//! Why something of a GraphQL request could not be read.

/// Why something of a request could not be read; later variants are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unread {
    /// A text is not a GraphQL document.
    NoDocument,
    /// It may stand in a part of a multipart body.
    Multipart,
    /// A text, or a batch, is over the limits.
    TooMuch,
    /// Two servers could read it differently.
    Ambiguous,
    /// The body is not JSON, or servers read it differently.
    NoJson,
}
