//! `doorward revoke`, `inspect`, `reload` and `healthcheck`: orders to the running process.

mod explain;
mod healthcheck;
mod inspect;
mod order;
mod process;
mod reload;
mod revoke;
mod running;
mod token_file;

pub(super) use explain::{Explain, explain};
pub(super) use healthcheck::healthcheck;
pub(super) use inspect::{Inspect, inspect};
pub(super) use process::{ProcessArguments, no_answer, socket_of};
pub(super) use reload::reload;
pub(super) use revoke::{Revoke, revoke};
