//! The token that `--token FILE` names.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::cli::exit::{CommandError, Exit};

/// How long a token may be with what stands around it.
const PASTED_BYTES_MAX: usize = 64 << 10;

/// Reads a token from a file, for every user of the machine sees what stands in a command line.
pub(in crate::cli) fn read_token(file: &Path) -> Result<String, CommandError> {
    let mut text = String::new();
    let most = PASTED_BYTES_MAX as u64 + 1;
    let usage = |why: &dyn std::fmt::Display| CommandError::new(Exit::Usage, why);
    if file == Path::new("-") {
        let read = io::stdin().take(most).read_to_string(&mut text);
        read.map_err(|error| usage(&error))?;
    } else {
        let read = File::open(file).and_then(|file| file.take(most).read_to_string(&mut text));
        read.map_err(|error| usage(&format_args!("{}: {error}", file.display())))?;
    }
    if text.len() > PASTED_BYTES_MAX {
        return Err(usage(&format_args!(
            "--token {}: too long for a token and what stands around it: it may have {PASTED_BYTES_MAX} bytes",
            file.display()
        )));
    }
    Ok(text)
}
