//! Commands that say what Doorward would do with requests, and send nothing.
//!
//! More than a dozen files: each command has one, each form in which requests are given, and each part of what is told.

mod arguments;
mod cases;
mod claims;
mod coverage;
mod curl;
mod explain;
mod har;
mod log_lines;
mod rehearse;
mod report;
mod sample_error;
mod shell_words;
mod stations;
mod tally;
mod test;
mod test_tokens;
mod token;

pub(super) use explain::{Explain, explain};
pub(super) use rehearse::{RehearseArguments, rehearse};
pub(super) use test::{TestArguments, test};
pub(super) use token::{TokenArguments, check_token};
