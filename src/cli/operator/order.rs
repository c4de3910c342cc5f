//! Orders to the running process, and its answers.

use std::path::Path;

use serde_json::Value;

use super::format::{Format, print_value};
use super::process::no_answer;
use crate::cli::exit::{CommandError, Exit};
use crate::request::TOKEN_BYTES_MAX;
use crate::server::{self, ControlOrder};

/// The status by which a process says that it can't read the order.
const BAD_REQUEST: u16 = 400;

/// The status by which a process says that it does not know the order.
const NOT_FOUND: u16 = 404;

/// How long a name may be: no token carries a longer one that is read.
const NAME_BYTES_MAX: usize = TOKEN_BYTES_MAX;

/// Sends an order and prints the answer.
pub(super) fn call(
    socket: &Path,
    path: &str,
    order: Option<&ControlOrder>,
    format: Format,
) -> Result<(), CommandError> {
    let (status, answer) =
        server::call(socket, path, order).map_err(|error| no_answer(socket, &error))?;
    print_answer(status.as_u16(), &answer, format)
}

/// Says on standard error why an order was not carried out.
pub(super) fn expect_done(status: u16, answer: &Value) -> Result<(), CommandError> {
    let why = answer["error"]
        .as_str()
        .unwrap_or("the process gave no reason");
    match status {
        200..300 => Ok(()),
        BAD_REQUEST => Err(CommandError::new(Exit::Usage, why)),
        NOT_FOUND => Err(CommandError::failed(format!(
            "the running process does not know this order: is it an older version?\n  help: {why}"
        ))),
        _ => Err(CommandError::failed(why)),
    }
}

/// Prints what the process answers; what it could not do is an error, and what it could not read is one of usage.
pub(super) fn print_answer(
    status: u16,
    answer: &Value,
    format: Format,
) -> Result<(), CommandError> {
    print_value(answer, format);
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
