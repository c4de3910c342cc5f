//! `doorward cluster status` and `force-ready`: the running node reports its state, or serves by what it knows.

use std::io::{self, Write as _};

use crate::cli::exit::{CommandError, Exit};
use crate::cli::operator::{ProcessArguments, no_answer, socket_of};
use crate::server;

/// Prints the state of the running node.
pub(super) fn status(process: &ProcessArguments) -> Result<(), CommandError> {
    call(process, false)
}

/// Makes the running node serve, and prints its state.
pub(super) fn force_ready(process: &ProcessArguments) -> Result<(), CommandError> {
    call(process, true)
}

fn call(process: &ProcessArguments, is_forced: bool) -> Result<(), CommandError> {
    let socket = socket_of(process)?;
    let (status, answer) =
        server::call_cluster(&socket, is_forced).map_err(|error| no_answer(&socket, &error))?;
    let _ = writeln!(io::stdout(), "{answer:#}");
    if status.is_success() {
        Ok(())
    } else {
        Err(CommandError::printed(Exit::Failed))
    }
}
