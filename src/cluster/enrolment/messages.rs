//! The messages of an enrolment.

use serde::{Deserialize, Serialize};

/// The version of the messages.
pub(super) const VERSION: u32 = 1;

/// The request of a machine that joins.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinRequest {
    pub(super) version: u32,
    /// The secret of the invitation.
    pub(super) secret: String,
    /// The name that the node will have.
    pub(super) node: String,
    /// Where other nodes will find it.
    pub(super) listen: String,
    /// The request for its certificate (PKCS#10), in PEM.
    pub(super) request: String,
}

/// What a machine needs to be a node.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinResponse {
    pub(super) version: u32,
    /// Its certificate, in PEM.
    pub(super) certificate: String,
    /// The authority's, in PEM.
    pub(super) authority: String,
    /// The addresses of other nodes, beside the one that answers.
    pub(super) peers: Vec<String>,
}

/// Why a machine is not admitted.
#[derive(Deserialize, Serialize)]
pub(super) struct JoinRejection {
    pub(super) version: u32,
    pub(super) error: String,
}

/// A part of every message. It is read first, because the rest may differ in another version.
#[derive(Deserialize)]
pub(super) struct VersionedMessage {
    pub(super) version: u32,
}
