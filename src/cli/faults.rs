//! Loads a configuration for a command, with its faults on standard error.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::exit::{CommandError, Exit};
use super::output::{complain, warn};
use crate::config::{self, Config, Faults};

/// Loads a configuration and prints its faults.
pub(super) fn load(path: &Path) -> Result<Config, CommandError> {
    match config::load(path) {
        Ok((config, warnings)) => {
            if !warnings.is_empty() {
                warn(report(&warnings, io::stderr().is_terminal()));
            }
            Ok(config)
        }
        Err(faults) => {
            print_faults(&faults);
            Err(CommandError::printed(Exit::Config))
        }
    }
}

/// The same once more, without its warnings.
pub(super) fn load_again(path: &Path) -> Result<Config, CommandError> {
    config::load(path)
        .map(|(config, _)| config)
        .map_err(|faults| {
            print_faults(&faults);
            CommandError::printed(Exit::Config)
        })
}

/// Prints faults, if there are any.
pub(super) fn print_faults(faults: &Faults) {
    if !faults.is_empty() {
        complain(report(faults, io::stderr().is_terminal()));
    }
}

/// Every fault, and how many there are; empty, if there are none.
pub(super) fn report(faults: &Faults, coloured: bool) -> String {
    if faults.is_empty() {
        return String::new();
    }
    let report = if coloured {
        faults.coloured()
    } else {
        faults.to_string()
    };
    format!("{}\n{}", report.trim_end(), faults.summary())
}
