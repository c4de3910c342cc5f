//! `doorward reload`: the running process reads its configuration again.

use std::io::{self, Write as _};

use serde_json::Value;

use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output::complain;
use crate::server;

/// The status by which a process says that the configuration is invalid.
const UNPROCESSABLE: u16 = 422;

/// Prints the outcome as the process reports it.
pub(in crate::cli) fn reload(process: &ProcessArguments) -> Result<(), CommandError> {
    let socket = socket_of(process)?;
    let (status, answer) =
        server::order_reload(&socket).map_err(|error| no_answer(&socket, &error))?;
    let said = |key| answer.get(key).and_then(|text| text.as_str());
    if !status.is_success() {
        complain(said("error").unwrap_or_default());
        let is_faulty = status.as_u16() == UNPROCESSABLE;
        return Err(CommandError::printed(if is_faulty {
            Exit::Config
        } else {
            Exit::Failed
        }));
    }
    if let Some(warnings) = said("warnings").filter(|text| !text.is_empty()) {
        complain(warnings);
    }
    let changed = answer["changed"].as_array().into_iter().flatten();
    let changed: Vec<_> = changed.filter_map(Value::as_str).collect();
    if changed.is_empty() {
        complain("nothing changed");
    }
    for key in changed {
        complain(format_args!("changed: {key}"));
    }
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "reloaded");
    let former = answer["former_meanings"].as_array().into_iter().flatten();
    for line in former.filter_map(Value::as_str) {
        let _ = writeln!(out, "note  {line}");
    }
    Ok(())
}
