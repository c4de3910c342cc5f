//! `doorward check`: reports every fault of a configuration, and what is in the data folder.

use std::io::{self, Write as _};

use clap::Args;

use super::data_folder;
use super::exit::{CommandError, Exit};
use super::faults::print_faults;
use super::file_argument::FileArgument;
use crate::clock;
use crate::config::{self, Config};
use crate::request::honour_meanings;
use crate::revocation::Revocations;
use crate::server;

/// What `check` reads and prints.
#[derive(Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    file: FileArgument,
    /// Print what becomes of requests instead: listeners, hosts, and of each shop logouts, routes and servers, in order
    #[arg(long)]
    explain: bool,
}

/// Reads a configuration and changes nothing.
pub(super) fn check(arguments: &CheckArguments) -> Result<(), CommandError> {
    let path = &arguments.file.config;
    let invalid = || CommandError::printed(Exit::Config);
    let (mut config, mut faults) = config::load(path).map_err(|faults| {
        print_faults(&faults);
        invalid()
    })?;
    match data_folder::summary(&config.server) {
        Ok(line) => config.summary.push(line),
        Err(error) => faults.push(data_folder::fault(&config.server, &error)),
    }
    print_faults(&faults);
    let printed = if arguments.explain {
        print_explanation(&config)
    } else {
        print_summary(&config)
    };
    printed.map_err(|_| CommandError::printed(Exit::Failed))?;
    if faults.is_fatal() {
        return Err(invalid());
    }
    Ok(())
}

fn print_explanation(config: &Config) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in config.explanation() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn print_summary(config: &Config) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in &config.summary {
        writeln!(out, "ok  {line}")?;
    }
    for line in former_meanings(config) {
        writeln!(out, "note  {line}")?;
    }
    Ok(())
}

/// What shops with this configuration would honour of former ones: by what the running process knows, else the journal.
fn former_meanings(config: &Config) -> Vec<String> {
    let known = server::call_meanings(&config.server.control);
    let meanings = known.or_else(|_| Revocations::meanings_on_disk(&config.server.data_dir));
    match meanings {
        Ok(meanings) => {
            let shops: Vec<_> = config.shops.iter().collect();
            honour_meanings(&shops, &meanings, clock::now());
            let told = shops.iter().flat_map(|shop| shop.honoured_in_words());
            told.collect()
        }
        Err(error) => vec![format!(
            "can't read what former configurations meant: {error}"
        )],
    }
}
