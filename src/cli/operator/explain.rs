//! `doorward explain --request-id`: tells what the running process decided about a request.

use super::format::Format;
use super::order::print_answer;
use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::CommandError;
use crate::server;

/// Prints what the running process decided about the request with this id.
pub(in crate::cli) fn explain_by_id(
    process: &ProcessArguments,
    request_id: &str,
    format: Format,
) -> Result<(), CommandError> {
    let socket = socket_of(process)?;
    let asked = server::call_explain(&socket, request_id);
    let (status, answer) = asked.map_err(|error| no_answer(&socket, &error))?;
    print_answer(status.as_u16(), &answer, format)
}
