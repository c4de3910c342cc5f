//! What `init` and `join` write: certificates, and `[cluster]` in the configuration.

use std::path::Path;

use crate::cli::exit::{CommandError, Exit};
use crate::cli::faults::report;
use crate::cli::output::print;
use crate::cluster::Readers;
use crate::config::{self, ClusterTable, NotAppended};

/// Prints which files were made.
pub(super) fn tell_made(texts: &[(&Path, &str)], readers: Readers, data_dir: &Path) {
    for (path, _) in texts {
        print(&format!("created {}\n", path.display()));
    }
    let folder = texts.first().and_then(|(path, _)| path.parent());
    if let (Readers::Ourselves, false, Some(folder)) = (readers, data_dir.exists(), folder) {
        let (data_dir, folder) = (data_dir.display(), folder.display());
        print(&format!(
            "{data_dir} does not exist yet, so the user of the service is unknown. If it is another user than you:\n  \
             chown -R root:ITS_GROUP {folder} && chmod 0750 {folder} && chmod 0640 {folder}/*\n"
        ));
    }
}

/// Adds `[cluster]` to the configuration, and says whether it did. Where that can't be, the operator is told what the
/// table should say.
pub(super) fn append(path: &Path, table: &ClusterTable) -> Result<bool, CommandError> {
    let (name, file) = (ClusterTable::NAME, path.display());
    let (exit, why) = match config::append(path, name, &table.to_string()) {
        Ok(()) => {
            print(&format!("added   [{name}] to {file}\n"));
            return Ok(true);
        }
        Err(NotAppended::There) => {
            print(&format!(
                "kept    [{name}] in {file} as it is; it should say\n\n{table}\n"
            ));
            return Ok(false);
        }
        Err(NotAppended::Faulty(faults)) => (Exit::Config, report(&faults, false)),
        Err(NotAppended::Unwritable(error)) => (Exit::Failed, error.to_string()),
    };
    let why = format!(
        "nothing was added to {file}: {why}\n  help: correct what `doorward check` reports, and add this table"
    );
    Err(CommandError::new(exit, format!("{why}\n\n{table}")))
}
