//! `doorward log set` and `drain`: other behaviour of the running process, until it is told otherwise.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::format::{Format, TextFormat, plain, print_value};
use super::order::expect_done;
use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::CommandError;
use crate::cli::output::print;
use crate::server;

/// What is done with the log.
#[derive(Subcommand)]
pub(in crate::cli) enum LogCommand {
    /// Log at another level, until the next reload or start
    Set(LogSet),
}

/// Which level.
#[derive(Args)]
pub(in crate::cli) struct LogSet {
    #[command(flatten)]
    process: ProcessArguments,
    /// The level
    #[arg(value_parser = PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"]))]
    level: String,
    #[command(flatten)]
    format: TextFormat,
}

/// What follows.
#[derive(Args)]
pub(in crate::cli) struct DrainArguments {
    #[command(flatten)]
    process: ProcessArguments,
    /// Let balancers send customers here again
    #[arg(long, conflicts_with = "stop")]
    undo: bool,
    /// End the process afterwards, as SIGTERM does: after `drain.delay` and the requests in flight
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    format: TextFormat,
}

/// Sets the log level.
pub(in crate::cli) fn set_log(command: &LogCommand) -> Result<(), CommandError> {
    let LogCommand::Set(arguments) = command;
    let order = json!({ "level": arguments.level });
    let answer = send(&arguments.process, "/log", &order)?;
    match arguments.format.format {
        Format::Json => print_value(&answer, Format::Json),
        Format::Text => print(&format!(
            "log level {} (before: {}), until the next reload or start\n",
            plain(&answer["level"]),
            plain(&answer["before"])
        )),
    }
    Ok(())
}

/// Makes balancers go elsewhere, or come back.
pub(in crate::cli) fn drain(arguments: &DrainArguments) -> Result<(), CommandError> {
    let order = json!({ "undo": arguments.undo, "stop": arguments.stop });
    let answer = send(&arguments.process, "/drain", &order)?;
    if arguments.format.format == Format::Json {
        print_value(&answer, Format::Json);
        return Ok(());
    }
    let what = match (arguments.undo, arguments.stop) {
        (true, _) => "not draining any more: /readyz answers as before",
        (false, true) => {
            "stopping: /readyz fails, and the process ends when its requests are answered"
        }
        (false, false) => {
            "draining: /readyz fails, and customers who come are served. Take it back with --undo"
        }
    };
    print(&format!(
        "{what}\n{} connections, {} requests in flight\n",
        plain(&answer["connections"]),
        plain(&answer["in_flight"])
    ));
    Ok(())
}

fn send(process: &ProcessArguments, path: &str, order: &Value) -> Result<Value, CommandError> {
    let socket = socket_of(process)?;
    let answered = server::order(&socket, "POST", path, order.to_string().into_bytes());
    let (status, answer) = answered.map_err(|error| no_answer(&socket, &error))?;
    expect_done(status.as_u16(), &answer)?;
    Ok(answer)
}
