//! An order of the operator's, as it travels to the control socket, and who gives it.

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::request::Target;

/// Whom an operator means, at which shop.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The shop's name; `None`: all of them, where everybody is cut off.
    pub shop: Option<String>,
    /// Whom.
    pub target: Target,
    /// Whether it is only said what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Who gives an order, as the kernel says (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    /// The user; `None`: the kernel does not say.
    pub(crate) uid: Option<u32>,
    /// The process, which may have ended since.
    pub(crate) pid: Option<i32>,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        let Ok(credentials) = stream.peer_cred() else {
            return Self::default();
        };
        Self {
            uid: Some(credentials.uid()),
            pid: credentials.pid(),
        }
    }
}
