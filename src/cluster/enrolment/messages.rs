//! The messages of an enrolment.

use serde::{Deserialize, Serialize};

/// The version of the messages.
pub(super) const VERSION: u32 = 1;

/// What a machine says that wants to be a node.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinRequest {
    pub(super) version: u32,
    /// The invitation's.
    pub(super) secret: String,
    /// The name that it will have.
    pub(super) node: String,
    /// Where other nodes will find it.
    pub(super) listen: String,
    /// Its request for a certificate (PKCS#10), in PEM.
    pub(super) request: String,
}

/// What it needs to be one.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinResponse {
    pub(super) version: u32,
    /// Its certificate, in PEM.
    pub(super) certificate: String,
    /// The authority's, in PEM.
    pub(super) authority: String,
    /// Where other nodes are, beside the one that answers.
    pub(super) peers: Vec<String>,
}

/// Why it can't be one.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinRejection {
    pub(super) version: u32,
    pub(super) error: String,
}

/// A part of every message: it is read first, for the rest may be another in another version.
#[derive(Deserialize)]
pub(super) struct VersionedMessage {
    pub(super) version: u32,
}
