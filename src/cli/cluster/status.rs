//! `doorward cluster status` and `force-ready`: the running node reports its state, or serves by what it knows.

use std::io::{self, Write as _};

use clap::Args;

use crate::cli::exit::{CommandError, Exit};
use crate::cli::operator::{Format, ProcessArguments, no_answer, peer_line, socket_of};
use crate::cli::output::print;
use crate::server;

/// Prints the state of the running node.
pub(super) fn status(process: &ProcessArguments) -> Result<(), CommandError> {
    call(process, false)
}

/// Makes the running node serve, and prints its state.
pub(super) fn force_ready(process: &ProcessArguments) -> Result<(), CommandError> {
    call(process, true)
}

/// Which node, and how to print.
#[derive(Args)]
pub(in crate::cli) struct PeersArguments {
    #[command(flatten)]
    process: ProcessArguments,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints the other nodes.
pub(super) fn peers(arguments: &PeersArguments) -> Result<(), CommandError> {
    let socket = socket_of(&arguments.process)?;
    let asked = server::call_cluster(&socket, false);
    let (status, answer) = asked.map_err(|error| no_answer(&socket, &error))?;
    if !status.is_success() {
        let why = answer["error"].as_str().unwrap_or_default();
        return Err(CommandError::failed(why));
    }
    let peers = &answer["peers"];
    match arguments.format {
        Format::Json => print(&format!("{peers:#}\n")),
        Format::Text => {
            let peers = peers.as_array().into_iter().flatten();
            let lines = peers.map(|peer| peer_line(peer) + "\n");
            print(&lines.collect::<String>());
        }
    }
    Ok(())
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
