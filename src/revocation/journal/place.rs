//! The journal's place in a data folder: whether it is there, and which file it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{JournalError, corrupt};
use super::watermark::{Watermark, WatermarkRecord};

/// The name of the journal in the data folder.
pub(super) const FILE: &str = "journal.redb";

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// The journal of a data folder, if there is one.
pub(super) fn existing(data_dir: &Path) -> Result<PathBuf, JournalError> {
    let path = data_dir.join(FILE);
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => {
            refuse_dangling(&path)?;
            let record = read_watermark(data_dir)?;
            Err(JournalError::Missing(path, record.sequence))
        }
        Err(error) => Err(JournalError::Unreachable(path, error.to_string())),
    }
}

/// No part of a path is a link to what does not exist: nothing can be made there, and something was there once.
pub(super) fn refuse_dangling(path: &Path) -> Result<(), JournalError> {
    let leads_nowhere = |part: &&Path| part.is_symlink() && matches!(part.try_exists(), Ok(false));
    let Some(link) = path.ancestors().find(leads_nowhere) else {
        return Ok(());
    };
    let target = fs::read_link(link)
        .map_err(|error| JournalError::Unreachable(link.to_owned(), error.to_string()))?;
    let target = link
        .parent()
        .map_or(target.clone(), |home| home.join(&target));
    Err(JournalError::Dangling(link.to_owned(), target))
}

pub(super) fn file_id(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

pub(super) fn read_watermark(data_dir: &Path) -> Result<WatermarkRecord, JournalError> {
    Watermark::read(data_dir).map_err(|error| {
        let path = data_dir.join(Watermark::FILE);
        if error.kind() == io::ErrorKind::InvalidData
            || error.kind() == io::ErrorKind::UnexpectedEof
        {
            corrupt(&path, &error.to_string())
        } else {
            JournalError::Unreachable(path, error.to_string())
        }
    })
}

/// Whether everything is there that was written.
pub(super) fn expect_complete(
    path: &Path,
    record: WatermarkRecord,
    sequence: u64,
) -> Result<(), JournalError> {
    match record.sequence.checked_sub(sequence) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(JournalError::Behind(path.to_owned(), missing)),
    }
}
