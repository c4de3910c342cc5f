//! `doorward inspect`: counts revocations, or looks a token up.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::format::JsonFormat;
use super::order::{call, refuse_long};
use super::process::{ProcessArguments, no_answer, socket_of};
use super::token_file::read_token;
use crate::cli::exit::CommandError;
use crate::request::Target;
use crate::server::{self, ControlOrder};

/// What is inspected.
#[derive(Args)]
pub(in crate::cli) struct Inspect {
    #[command(flatten)]
    process: ProcessArguments,
    /// The shop whose token to look up
    #[arg(long, requires = "token")]
    shop: Option<String>,
    /// The token in this file; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "shop")]
    token: Option<PathBuf>,
    #[command(flatten)]
    format: JsonFormat,
}

/// Prints what is in force in the running process.
pub(in crate::cli) fn inspect(inspect: Inspect) -> Result<(), CommandError> {
    let socket = socket_of(&inspect.process)?;
    let format = inspect.format.format;
    let (Some(shop), Some(file)) = (inspect.shop, inspect.token) else {
        return call(&socket, "/inspect", None, format);
    };
    let shop = Some(shop);
    refuse_long([("shop", &shop)])?;
    let order = ControlOrder {
        shop,
        target: Target::Token(read_token(&file)?),
        dry_run: false,
    };
    call(&socket, "/inspect", Some(&order), format)
}

/// What the running process says of a token.
pub(in crate::cli) fn inspect_token(
    process: &ProcessArguments,
    shop: &str,
    token: &str,
) -> Result<Value, CommandError> {
    let socket = socket_of(process)?;
    let order = ControlOrder {
        shop: Some(shop.to_owned()),
        target: Target::Token(token.to_owned()),
        dry_run: false,
    };
    let asked = server::call(&socket, "/inspect", Some(&order));
    let (status, answer) = asked.map_err(|error| no_answer(&socket, &error))?;
    if status.is_success() {
        return Ok(answer);
    }
    let why = answer["error"].as_str().unwrap_or("it gives no reason");
    Err(CommandError::failed(format!(
        "the running process can't look the token up: {why}"
    )))
}
