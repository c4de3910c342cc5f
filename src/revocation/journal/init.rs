//! Making an empty journal, which a start never does: a data folder without a journal is not an empty set.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use redb::Builder;
use tempfile::NamedTempFile;

use super::error::JournalError;
use super::file::Journal;
use super::place::{read_watermark, refuse_dangling};
use super::tables::create_all;
use super::watermark::Watermark;
use crate::revocation::replication::Origin;

impl Journal {
    /// Makes a data folder and an empty journal in it, as far as they are not there yet, both for their owner
    /// alone; whether a journal was made. A folder of another user, such as the service's, gets a journal of that
    /// user.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`] when a journal was here and is gone; [`JournalError::Dangling`];
    /// [`JournalError::Unreachable`].
    pub fn init(data_dir: &Path) -> Result<bool, JournalError> {
        let path = data_dir.join(Self::FILE);
        let unreachable =
            |error: io::Error| JournalError::Unreachable(path.clone(), error.to_string());
        refuse_dangling(&path)?;
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(data_dir).map_err(unreachable)?;
        if path.try_exists().map_err(unreachable)? {
            return Ok(false);
        }
        let record = read_watermark(data_dir)?;
        if record.sequence > 0 {
            return Err(JournalError::Missing(path, record.sequence));
        }
        let mark = data_dir.join(Watermark::FILE);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unreachable(error));
            }
            Ok(()) | Err(_) => {}
        }
        if !create(data_dir, &path)? {
            return Ok(false);
        }
        drop(Self::open(data_dir)?); // which makes the watermark beside it
        let hand_over = || {
            let (folder, journal) = (fs::metadata(data_dir)?, fs::metadata(&path)?);
            if folder.uid() == journal.uid() {
                return Ok(());
            }
            chown(&path, Some(folder.uid()), Some(folder.gid()))?;
            chown(&mark, Some(folder.uid()), Some(folder.gid()))
        };
        hand_over().map_err(unreachable)?;
        Ok(true)
    }
}

/// Makes an empty journal under another name and moves it into place, so that a crash leaves none rather
/// than half of one; whether the place was free.
fn create(data_dir: &Path, path: &Path) -> Result<bool, JournalError> {
    let unreachable = |error: &dyn std::error::Error| {
        JournalError::Unreachable(path.to_owned(), error.to_string())
    };
    let origin = Origin::random().map_err(|error| unreachable(&error))?;
    let make = || -> Result<bool, redb::Error> {
        let draft = NamedTempFile::with_prefix_in(".journal.redb-", data_dir)?;
        let database = Builder::new().create(draft.path())?;
        let transaction = database.begin_write()?;
        create_all(&transaction, &origin)?;
        transaction.commit()?;
        drop(database);
        match draft.persist_noclobber(path) {
            Ok(_) => File::open(data_dir)?.sync_all()?,
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(failed) => return Err(failed.error.into()),
        }
        Ok(true)
    };
    make().map_err(|error| unreachable(&error))
}
