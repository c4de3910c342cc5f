//! Orders to the running process, and its answers.

use std::io::{self, Write as _};
use std::path::Path;

use serde_json::Value;

use super::process::no_answer;
use crate::cli::exit::{CommandError, Exit};
use crate::request::TOKEN_BYTES_MAX;
use crate::server::{self, ControlOrder};

/// The status by which a process says that it can't read the order.
const BAD_REQUEST: u16 = 400;

/// How long a name may be: no token carries a longer one that is read.
const NAME_BYTES_MAX: usize = TOKEN_BYTES_MAX;

/// Sends an order and prints the answer.
pub(super) fn call(
    socket: &Path,
    path: &str,
    order: Option<&ControlOrder>,
) -> Result<(), CommandError> {
    let (status, answer) =
        server::call(socket, path, order).map_err(|error| no_answer(socket, &error))?;
    print_answer(status.as_u16(), &answer)
}

/// Prints what the process answers; what it could not do is an error, and what it could not read is one of usage.
pub(super) fn print_answer(status: u16, answer: &Value) -> Result<(), CommandError> {
    let _ = writeln!(io::stdout(), "{answer:#}");
    match status {
        200..300 => Ok(()),
        BAD_REQUEST => Err(CommandError::printed(Exit::Usage)),
        _ => Err(CommandError::printed(Exit::Failed)),
    }
}

/// Refuses names that no process could find.
pub(super) fn refuse_long<const N: usize>(
    names: [(&str, &Option<String>); N],
) -> Result<(), CommandError> {
    let length = |name: &Option<String>| name.as_ref().map_or(0, String::len);
    let mut names = names
        .into_iter()
        .map(|(argument, name)| (argument, length(name)));
    match names.find(|(_, length)| *length > NAME_BYTES_MAX) {
        None => Ok(()),
        Some((argument, length)) => Err(CommandError::new(
            Exit::Usage,
            format!(
                "--{argument} is too long: {length} bytes, and it may have {NAME_BYTES_MAX}\n  \
                 help: a whole token is given with --token, in a file or on standard input"
            ),
        )),
    }
}
