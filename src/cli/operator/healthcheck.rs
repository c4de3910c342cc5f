//! `doorward healthcheck`: whether the running process should get customers.

use std::io::{self, Write as _};

use serde_json::Value;

use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::{CommandError, Exit};
use crate::server;

/// Prints what `/readyz` would say. Every failure has the same exit code: the only one that Docker knows.
pub(in crate::cli) fn healthcheck(process: &ProcessArguments) -> Result<(), CommandError> {
    let unhealthy = |error: CommandError| error.with(Exit::Failed);
    let socket = socket_of(process).map_err(unhealthy)?;
    let (status, answer) = server::call(&socket, "/readyz", None)
        .map_err(|error| unhealthy(no_answer(&socket, &error)))?;
    let failed = answer["failed"].as_array().into_iter().flatten();
    let mut out = io::stdout().lock();
    for line in failed.filter_map(Value::as_str) {
        let _ = write!(out, "{line}");
    }
    if status.is_success() && answer["ready"] == true {
        let _ = writeln!(out, "ready");
        return Ok(());
    }
    let _ = writeln!(out, "not ready");
    Err(CommandError::printed(Exit::Failed))
}
