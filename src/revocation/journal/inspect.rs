//! What a journal holds that no process has open, without a change to its file.

use std::path::Path;

use super::error::JournalError;
use super::file::Journal;
use super::place::{existing, expect_complete, read_watermark};
use super::read_through::open_read_through;
use super::store::{read_notes, read_rows, without_panic};
use super::watermark::Provenance;
use crate::clock::UnixTime;
use crate::revocation::entry::Revocation;
use crate::revocation::set::is_of_meaning;

/// What a data folder holds, as `check` shows it.
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
    pub fn inspect(data_dir: &Path, now: UnixTime) -> Result<Contents, JournalError> {
        let mut live = 0;
        let written_at = Self::inspect_rows(data_dir, |row| match row {
            Revocation::Cutoff { id, .. } if is_of_meaning(&id) => {}
            Revocation::Token { until, .. } | Revocation::Cutoff { until, .. } => {
                live += u64::from(until >= now);
            }
            Revocation::Date { .. } => {}
        })?;
        Ok(Contents { live, written_at })
    }

    /// As [`Self::inspect`], every row handed to `each`; when it was last written.
    pub(in crate::revocation) fn inspect_rows(
        data_dir: &Path,
        mut each: impl FnMut(Revocation),
    ) -> Result<Option<UnixTime>, JournalError> {
        let path = existing(data_dir)?;
        without_panic(&path, || {
            let database = open_read_through(&path)?;
            let (sequence, notes) = read_notes(&path, &database)?;
            let record = read_watermark(data_dir)?;
            expect_complete(&path, record, sequence)?;
            read_rows(&path, &database, &mut each)?;
            if record.provenance == Provenance::Copy {
                return Err(JournalError::Copied(path.clone())); // last: one of several nodes starts with it
            }
            Ok((notes.clock > UnixTime::EPOCH).then_some(notes.clock))
        })
    }
}
