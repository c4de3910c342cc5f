//! Opening and reading the store's file, and what its errors and panics mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database, ReadableDatabase};

use super::error::{JournalError, corrupt, refused};
use super::notes::Notes;
use super::tables::{self, FORMAT};
use crate::revocation::entry::Revocation;

/// redb's cache. Its default of 1 GiB would dwarf the set.
pub(super) const CACHE_BYTES: usize = 16 << 20;

/// Opens a journal and reads every page of it once.
pub(super) fn open_checked(path: &Path) -> Result<Database, JournalError> {
    let mut database = open_existing(path)?;
    match database.check_integrity() {
        Ok(true) => Ok(database),
        Ok(false) => Err(corrupt(path, "its checksums do not fit")),
        Err(error) => Err(refused(path, &error)),
    }
}

pub(super) fn open_existing(path: &Path) -> Result<Database, JournalError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .open(path)
        .map_err(|error| refused(path, &error))
}

/// The number of the last row, and what is noted beside the rows, if the format is ours.
pub(super) fn read_notes(path: &Path, database: &Database) -> Result<(u64, Notes), JournalError> {
    let unreadable = |error: redb::Error| corrupt(path, &error.to_string());
    let transaction = database.begin_read();
    let transaction = transaction.map_err(|error| unreadable(error.into()))?;
    let meta = tables::read_meta(&transaction).map_err(unreadable)?;
    let format = meta.get("format").copied().unwrap_or_default();
    if format != FORMAT {
        return Err(JournalError::Format(path.to_owned(), format));
    }
    tables::read_notes(&transaction, &meta).map_err(unreadable)
}

/// Hands every row to `each`.
pub(super) fn read_rows(
    path: &Path,
    database: &Database,
    each: &mut impl FnMut(Revocation),
) -> Result<(), JournalError> {
    let mut read =
        || -> Result<(), redb::Error> { tables::read_rows(&database.begin_read()?, each) };
    read().map_err(|error| corrupt(path, &error.to_string()))
}

/// redb panics over some kinds of damage (seen in 4.4.0: a flipped bit in its saved allocator). At the
/// start that is one more way to say that the file is corrupt.
pub(super) fn without_panic<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(corrupt(path, "reading it ended in a panic of the database")))
}
