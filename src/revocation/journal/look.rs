//! What a journal holds that no process has open, without a change to its file.

use std::path::Path;

use super::error::JournalError;
use super::file::Journal;
use super::glance::glance;
use super::place::{expect_all, present, read_mark};
use super::store::{read_notes, read_rows, without_panic};
use super::watermark::NoteOrigin;
use crate::clock::UnixTime;
use crate::revocation::entry::Revocation;
use crate::revocation::set::is_of_meaning;

/// What a data folder holds, as `check` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many revocations have not ended.
    pub live: u64,
    /// When it was last written, to the minute; `None`: never.
    pub written_at: Option<UnixTime>,
}

impl Journal {
    /// What is in a data folder at this time, as far as no process has it open. Nothing is changed there.
    ///
    /// # Errors
    ///
    /// Those of a start; [`JournalError::Copied`] only if there is no other. [`JournalError::InUse`]: the process that has
    /// it open knows.
    pub fn look(data_dir: &Path, now: UnixTime) -> Result<Contents, JournalError> {
        let mut live = 0;
        let written_at = Self::look_through(data_dir, |row| match row {
            Revocation::Cutoff { id, .. } if is_of_meaning(&id) => {}
            Revocation::Token { until, .. } | Revocation::Cutoff { until, .. } => {
                live += u64::from(until >= now);
            }
            Revocation::Date { .. } => {}
        })?;
        Ok(Contents { live, written_at })
    }

    /// As [`Self::look`], every row handed to `each`; when it was last written.
    pub(in crate::revocation) fn look_through(
        data_dir: &Path,
        mut each: impl FnMut(Revocation),
    ) -> Result<Option<UnixTime>, JournalError> {
        let path = present(data_dir)?;
        without_panic(&path, || {
            let database = glance(&path)?;
            let (sequence, notes) = read_notes(&path, &database)?;
            let noted = read_mark(data_dir)?;
            expect_all(&path, noted, sequence)?;
            read_rows(&path, &database, &mut each)?;
            if noted.origin == NoteOrigin::Copy {
                return Err(JournalError::Copied(path.clone())); // last: one of several nodes starts with it
            }
            Ok((notes.clock > UnixTime::EPOCH).then_some(notes.clock))
        })
    }
}
