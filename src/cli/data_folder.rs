//! What is in the data folder.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::clock::{self, UnixTime};
use crate::config::Fault;
use crate::revocation::{Journal, JournalError};
use crate::server::{self, Settings};

/// Creates a data folder and an empty journal in it where they are missing, and prints that. Returns whether the journal was missing.
pub(super) fn create(data_dir: &Path) -> Result<bool, JournalError> {
    let is_new = Journal::init(data_dir)?;
    if is_new {
        let path = data_dir.join(Journal::FILE);
        let _ = writeln!(io::stdout(), "created {}", path.display());
    }
    Ok(is_new)
}

/// What is in the data folder, in one line. A running process is asked, for its journal is locked.
pub(super) fn summary(settings: &Settings) -> Result<String, JournalError> {
    let data_dir = &settings.data_dir;
    let now = clock::now();
    let (live, written_at, by) = match Journal::inspect(data_dir, now) {
        Ok(contents) => (contents.live, contents.written_at, ""),
        Err(JournalError::InUse(path)) => match live_in_process(&settings.control) {
            Some(live) => (live, modified(&path), ", in use by the running process"),
            None => {
                return Ok(format!(
                    "data_dir {}: journal in use by a process that does not answer at {}",
                    data_dir.display(),
                    settings.control.display()
                ));
            }
        },
        Err(error) => return Err(error),
    };
    let noun = if live == 1 {
        "revocation"
    } else {
        "revocations"
    };
    let written = written_at.map_or("never written".to_owned(), |written_at| {
        let age = humantime::format_duration(now.since(written_at));
        format!("last written {age} ago, at {written_at}")
    });
    Ok(format!(
        "data_dir {}: journal of {live} live {noun}, {written}{by}",
        data_dir.display()
    ))
}

/// Why a start would find no journal to rely on. It is an error where the start would fail, except before the first `init`.
pub(super) fn fault(settings: &Settings, error: &JournalError) -> Fault {
    let text = error.to_string();
    let mut parts = text.split("\n  help: ");
    let message = parts.next().unwrap_or_default();
    let fault = match error {
        JournalError::Missing(_, 0) => Fault::warning(message),
        JournalError::Copied(_) if settings.cluster.is_some() => Fault::warning(message),
        JournalError::Missing(..)
        | JournalError::Dangling(..)
        | JournalError::Copied(_)
        | JournalError::Unreachable(..)
        | JournalError::InUse(_)
        | JournalError::Corrupt(..)
        | JournalError::Behind(..)
        | JournalError::Format(..)
        | JournalError::Unwritable(..) => Fault::error(message),
    };
    parts.fold(fault, Fault::help)
}

/// How many revocations are in force in the process behind this control socket, if it answers.
fn live_in_process(control: &Path) -> Option<u64> {
    let (_, answer) = server::call(control, "/inspect", None).ok()?;
    let counts = &answer["revocations"];
    let kinds = ["tokens", "undated_tokens", "cutoffs"];
    kinds.into_iter().map(|kind| counts[kind].as_u64()).sum()
}

fn modified(path: &Path) -> Option<UnixTime> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime::from_seconds(since.as_secs()))
}
