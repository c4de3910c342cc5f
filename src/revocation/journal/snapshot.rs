//! All rows of a journal at one moment, read while the process goes on writing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use redb::{ReadTransaction, ReadableDatabase};

use super::error::{JournalError, corrupt};
use super::file::Journal;
use super::store::{open_existing, without_panic};
use super::tables;
use crate::revocation::entry::{Portion, Revocation};

/// All rows of a journal at one moment.
pub(in crate::revocation) struct JournalSnapshot {
    path: PathBuf,
    transaction: ReadTransaction,
}

impl Journal {
    /// All rows that were written until now.
    pub(in crate::revocation) fn snapshot(&mut self) -> Result<JournalSnapshot, JournalError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_existing(&self.path)?,
        };
        let begun = catch_unwind(AssertUnwindSafe(|| database.begin_read()));
        let Ok(Ok(transaction)) = begun else {
            let why = "its rows can't be read".to_owned();
            return Err(JournalError::Unreachable(self.path.clone(), why));
        };
        self.database = Some(database);
        Ok(JournalSnapshot {
            path: self.path.clone(),
            transaction,
        })
    }
}

impl JournalSnapshot {
    /// Hands the rows of a portion to `each` until it returns false.
    pub(in crate::revocation) fn read(
        &self,
        portion: Portion,
        mut each: impl FnMut(Revocation) -> bool,
    ) -> Result<(), JournalError> {
        without_panic(&self.path, || {
            let read = tables::read_portion(&self.transaction, portion, &mut each);
            read.map_err(|error| corrupt(&self.path, &error.to_string()))
        })
    }
}
