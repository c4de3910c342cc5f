//! An order on the control socket, with the process that sends it.

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::request::Target;

/// What to revoke or to look up, and at which shop.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ControlOrder {
    /// The shop's name; `None`: every shop, for a cutoff of all tokens.
    pub shop: Option<String>,
    /// What is revoked or looked up.
    pub target: Target,
    /// Whether to report only what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// The process that sends an order, as the kernel reports it (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerProcess {
    /// The user; `None`: the kernel does not report it.
    pub(crate) uid: Option<u32>,
    /// The process, which may have ended since.
    pub(crate) pid: Option<i32>,
}

impl PeerProcess {
    pub(super) fn connected_to(stream: &UnixStream) -> Self {
        let Ok(credentials) = stream.peer_cred() else {
            return Self::default();
        };
        Self {
            uid: Some(credentials.uid()),
            pid: credentials.pid(),
        }
    }
}
