//! `doorward explain`: tells what was decided about a request.

use clap::Args;

use super::format::JsonFormat;
use super::order::print_answer;
use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::CommandError;
use crate::server;

/// Which request is explained.
#[derive(Args)]
pub(in crate::cli) struct Explain {
    #[command(flatten)]
    process: ProcessArguments,
    /// The `X-Request-Id` of its answer
    #[arg(long, value_name = "ID")]
    request_id: String,
    #[command(flatten)]
    format: JsonFormat,
}

/// Prints what the running process decided about a request.
pub(in crate::cli) fn explain(explain: &Explain) -> Result<(), CommandError> {
    let socket = socket_of(&explain.process)?;
    let asked = server::call_explain(&socket, &explain.request_id);
    let (status, answer) = asked.map_err(|error| no_answer(&socket, &error))?;
    print_answer(status.as_u16(), &answer, explain.format.format)
}
