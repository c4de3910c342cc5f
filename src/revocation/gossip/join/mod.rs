//! Joining: how a machine becomes a node, by one question to a node that invited it.
//!
//! The machine makes a key that never leaves it, connects to the other's gossip listener by TLS 1.3 without a
//! certificate of its own, and sees to it that the other's certificate is of the very authority that stands in the
//! invitation. Only then it says the invitation's secret, its name and where it listens, and asks for a certificate.

mod newcomer;
mod registrar;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use newcomer::{Admitted, Application, GOSSIP_PORT, JoinError};
pub(super) use registrar::Registrar;

/// The version of the messages.
const VERSION: u32 = 1;

/// What a machine says that wants to be a node.
#[derive(Deserialize, Serialize)]
struct Question {
    version: u32,
    /// The invitation's.
    secret: String,
    /// The name that it will have.
    node: String,
    /// Where other nodes will find it.
    listen: String,
    /// Its request for a certificate (PKCS#10), in PEM.
    request: String,
}

/// What it needs to be one.
#[derive(Deserialize, Serialize)]
struct Welcome {
    version: u32,
    /// Its certificate, in PEM.
    certificate: String,
    /// The authority's, in PEM.
    authority: String,
    /// Where other nodes are, beside the one that answers.
    peers: Vec<String>,
}

/// Why it can't be one.
#[derive(Deserialize, Serialize)]
struct Rejection {
    version: u32,
    error: String,
}

/// A part of every message: it is read first, for the rest may be another in another version.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}
