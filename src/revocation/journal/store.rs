//! Opening the store's file, and what its errors and panics mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database};

use super::error::{JournalError, corrupt, refused};

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

/// redb panics over some kinds of damage (seen in 4.4.0: a flipped bit in its saved allocator). At the
/// start that is one more way to say that the file is corrupt.
pub(super) fn without_panic<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(corrupt(path, "reading it ended in a panic of the database")))
}

pub(super) fn open_existing(path: &Path) -> Result<Database, JournalError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .open(path)
        .map_err(|error| refused(path, &error))
}
