//! The status and the body of an answer, as a rule or a preset words it.

use bytes::Bytes;
use http::StatusCode;

/// An answer's status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Its status.
    pub status: StatusCode,
    /// Its body, byte for byte; `None`: the refusal's own shape with `message`.
    pub body: Option<Bytes>,
    /// What the refusal's shape says when there is no body.
    pub message: Option<String>,
}
