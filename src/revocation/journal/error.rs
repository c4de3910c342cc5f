//! Why the journal can't be used, and what the operator does next.

use std::io;
use std::path::{Path, PathBuf};

use redb::DatabaseError;

use super::tables::FORMAT;
use super::watermark::Watermark;

/// Why the journal can't be used.
#[derive(Debug)]
pub enum JournalError {
    /// There is none, although so many revocations were written to it; 0: none that is known of.
    Missing(PathBuf, u64),
    /// It can't be found: this link leads to that place, where nothing is.
    Dangling(PathBuf, PathBuf),
    /// It was put here together with its watermark: it may be older than what was here.
    Copied(PathBuf),
    /// The folder can't be made or the file can't be opened.
    Unreachable(PathBuf, String),
    /// Another process has it open.
    InUse(PathBuf),
    /// The file does not hold what was written to it.
    Corrupt(PathBuf, String),
    /// It holds less than was written to it: so many revocations are missing.
    Behind(PathBuf, u64),
    /// The file was written by a version that we do not know.
    Format(PathBuf, u64),
    /// It can't be written now.
    Unwritable(PathBuf, String),
}

impl JournalError {
    /// What an operator reads who has no journal, or only a copy of one; `None`: it is another error.
    fn absence(&self) -> Option<String> {
        Some(match self {
            Self::Missing(path, 0) => format!(
                "there is no journal: {} does not exist\n  \
                 help: if this is a new installation, make an empty one: run `doorward init` once\n  \
                 help: otherwise the data folder was renamed or moved, or its disk is not mounted: mount it, put it \
                 back, or correct `data_dir`; with an empty journal, logged-out tokens would work again",
                path.display()
            ),
            Self::Missing(path, written) => format!(
                "there is no journal: {} does not exist; it lacks the last {written} rows that were written \
                 to it\n  \
                 help: this is no new installation: the journal was deleted, renamed or moved, or its disk is not \
                 mounted: put the newest copy back, or mount it\n  \
                 help: if it is lost, remove {} beside it, make an empty one with `doorward init`, start, and cut off \
                 everybody who was logged in before now with `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Watermark::FILE,
            ),
            Self::Dangling(link, target) => format!(
                "there is no journal: {} is a link to {}, which does not exist\n  \
                 help: what it leads to was renamed or moved, or its disk is not mounted: mount it, put it back, or \
                 correct the link; with an empty journal, logged-out tokens would work again\n  \
                 help: if this is a new installation, remove the link, and run `doorward init` once",
                link.display(),
                target.display()
            ),
            Self::Copied(path) => format!(
                "the journal {} is a copy: {} beside it is not the file that doorward wrote last, so logouts may be \
                 missing\n  \
                 help: if doorward was stopped when the folder was copied, and did not run since, remove {} and \
                 start\n  \
                 help: if the copy is older, put the newest folder back; or remove {}, start, and cut off everybody \
                 who was logged in before now with `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Watermark::FILE,
                Watermark::FILE,
                Watermark::FILE,
            ),
            Self::Unreachable(..)
            | Self::InUse(_)
            | Self::Corrupt(..)
            | Self::Behind(..)
            | Self::Format(..)
            | Self::Unwritable(..) => return None,
        })
    }
}

impl std::error::Error for JournalError {}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(..) | Self::Dangling(..) | Self::Copied(_) => {
                f.write_str(&self.absence().unwrap_or_default())
            }
            Self::Unreachable(path, why) => write!(
                f,
                "the journal {} can't be opened: {why}\n  \
                 help: data_dir must be a folder on a local disk that doorward may write",
                path.display()
            ),
            Self::InUse(path) => write!(
                f,
                "the journal {} is in use by another process\n  \
                 help: one doorward a data_dir; stop the other one or give this one its own data_dir",
                path.display()
            ),
            Self::Corrupt(path, why) => write!(
                f,
                "the journal {} is corrupt: {why}\n  \
                 help: doorward does not start, for logged-out tokens would work again. Put the newest copy of {} back; \
                 {} beside it still stops the start, for the copy is older: remove it, too\n  \
                 help: without a copy, move both files away and run `doorward init`\n  \
                 help: either way, start, and cut off everybody who was logged in before now with \
                 `doorward revoke --shop NAME --all-before now`",
                path.display(),
                path.display(),
                Watermark::FILE
            ),
            Self::Behind(path, missing) => write!(
                f,
                "the journal {} lacks the last {missing} rows that were written to it: it is damaged, \
                 deleted, or an older copy\n  \
                 help: doorward does not start, for logged-out tokens would work again. Put the newest copy \
                 back; or remove {} beside it, start, and cut off everybody who was logged in before now with \
                 `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Watermark::FILE,
            ),
            Self::Format(path, format) => write!(
                f,
                "the journal {} has format {format}, and this version reads format {FORMAT}\n  \
                 help: start the version of doorward that wrote it",
                path.display()
            ),
            Self::Unwritable(path, why) => {
                write!(f, "the journal {} can't be written: {why}", path.display())
            }
        }
    }
}

/// Tells damage of the file from a file that can't be reached.
pub(super) fn refused(path: &Path, error: &DatabaseError) -> JournalError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return JournalError::InUse(path.to_owned());
    }
    if let DatabaseError::Storage(redb::StorageError::Io(error)) = error
        && error.kind() != io::ErrorKind::InvalidData
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        return JournalError::Unreachable(path.to_owned(), error.to_string());
    }
    corrupt(path, &error.to_string())
}

pub(super) fn corrupt(path: &Path, why: &str) -> JournalError {
    JournalError::Corrupt(path.to_owned(), why.to_owned())
}
