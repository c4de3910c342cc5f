//! Orders to the running process.
//!
//! More than a dozen files: each command has its own.

mod bundle;
mod explain;
mod healthcheck;
mod format;
mod inspect;
mod keys;
mod order;
mod process;
mod reload;
mod revocations;
mod revoke;
mod running;
mod status;
mod steer;
mod tarball;
mod token_file;
mod top;

pub(super) use bundle::{Bundle, bundle};
pub(super) use explain::explain_by_id;
pub(super) use format::Format;
pub(super) use healthcheck::healthcheck;
pub(super) use inspect::{Inspect, inspect, inspect_token};
pub(super) use keys::{KeysCommand, keys};
pub(super) use process::{ProcessArguments, no_answer, socket_of};
pub(super) use reload::reload;
pub(super) use revocations::{RevocationsCommand, revocations};
pub(super) use revoke::{Revoke, revoke};
pub(super) use status::{Status, peer_line, status};
pub(super) use steer::{DrainArguments, LogCommand, drain, set_log};
pub(super) use token_file::read_token;
pub(super) use top::{Top, top};
