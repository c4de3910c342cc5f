//! `doorward keys list`: the keys that verify tokens.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::format::{Format, TextFormat, plain, print_value};
use super::process::ProcessArguments;
use super::status::{document, items};
use crate::cli::exit::CommandError;
use crate::cli::output::print;

/// What is done with keys.
#[derive(Subcommand)]
pub(in crate::cli) enum KeysCommand {
    /// List the keys of every shop: their ids, kinds and algorithms, where they come from, and how many tokens each verified
    List(KeysList),
}

/// Which process, and how to print.
#[derive(Args)]
pub(in crate::cli) struct KeysList {
    #[command(flatten)]
    process: ProcessArguments,
    #[command(flatten)]
    format: TextFormat,
}

/// Prints the keys of the running process.
pub(in crate::cli) fn keys(command: &KeysCommand) -> Result<(), CommandError> {
    let KeysCommand::List(arguments) = command;
    let document = document(&arguments.process)?;
    match arguments.format.format {
        Format::Text => print(&page(&document)),
        Format::Json => {
            let shops = items(&document, "shops").map(|shop| {
                json!({
                    "shop": shop["name"], "keys": shop["keys"], "tokens_verified": shop["tokens_verified"],
                })
            });
            print_value(&shops.collect(), Format::Json);
        }
    }
    Ok(())
}

fn page(document: &Value) -> String {
    let mut text = String::new();
    for shop in items(document, "shops") {
        let _ = writeln!(text, "shop {}", plain(&shop["name"])); // a String takes everything
        for source in items(shop, "keys") {
            let fetched = source["fetched_at"].as_str();
            let fetched = fetched.map_or(String::new(), |at| {
                format!(
                    ", fetched {at}, again at {}",
                    plain(&source["fetched_again_at"])
                )
            });
            let failure = source["failure"].as_str();
            let failure = failure.map_or(String::new(), |why| {
                format!(", the last fetch failed: {why}")
            });
            let _ = writeln!(text, "  from {}{fetched}{failure}", plain(&source["from"]));
            for key in items(source, "keys") {
                let algorithms: Vec<_> = items(key, "algorithms").map(plain).collect();
                let _ = writeln!(
                    text,
                    "    {}  {}  {}",
                    plain(&key["id"]),
                    plain(&key["kind"]),
                    algorithms.join(", ")
                );
            }
        }
        let verified = shop["tokens_verified"].as_object().into_iter().flatten();
        for (key, count) in verified {
            let _ = writeln!(
                text,
                "  {} tokens verified by {}",
                plain(count),
                plain(&key.as_str().into())
            );
        }
    }
    text
}
