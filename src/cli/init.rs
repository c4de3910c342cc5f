//! `doorward init`: creates the data folder.

use std::io::{self, Write as _};
use std::path::Path;

use super::data_folder;
use super::exit::{CommandError, Exit};
use super::faults::load;

/// Creates the data folder and an empty journal in it. What is there stays as it is, and is reported.
pub(super) fn init(config: &Path) -> Result<(), CommandError> {
    let settings = load(config)?.server;
    let invalid = |error| CommandError::new(Exit::Config, error);
    if data_folder::create(&settings.data_dir).map_err(invalid)? {
        return Ok(());
    }
    let line = data_folder::summary(&settings).map_err(invalid)?;
    writeln!(io::stdout(), "kept    {line}").map_err(|_| CommandError::printed(Exit::Failed))
}
