//! The commands of `doorward`, one file a command.
//!
//! More than a dozen files: each command has its own.

mod arguments;
mod check;
mod cluster;
mod completions;
mod config_command;
mod data_folder;
mod demo;
mod exit;
mod faults;
mod file_argument;
mod init;
mod logging;
mod operator;
mod output;
mod preset;
mod progress;
mod rehearsal;
mod run;

pub use arguments::Arguments;
pub use exit::{EXITS, Exit};
pub use output::report_panics;
