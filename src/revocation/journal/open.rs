//! Opening a journal at the start, after the whole of it was checked.

use std::io;
use std::path::Path;

use super::error::JournalError;
use super::file::Journal;
use super::place::{existing, expect_complete, file_id, read_watermark};
use super::store::{open_checked, read_notes, without_panic};
use super::tables::META;
use super::watermark::{Provenance, Watermark};

impl Journal {
    /// Opens the journal of a data folder. A folder without one is not an empty set: [`Self::init`] makes one.
    ///
    /// The whole file is checked first: what it no longer says must stop the start, not shorten the list.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        Self::open_unless(data_dir, |provenance| provenance == Provenance::Copy)
    }

    /// The same for one of several nodes: a copy is opened, too, and counts as incomplete, for the other nodes know
    /// what it may lack.
    pub fn open_syncing(data_dir: &Path) -> Result<Self, JournalError> {
        Self::open_unless(data_dir, |_| false)
    }

    fn open_unless(
        data_dir: &Path,
        is_refused: impl FnOnce(Provenance) -> bool,
    ) -> Result<Self, JournalError> {
        let path = existing(data_dir)?;
        let unreachable =
            |error: io::Error| JournalError::Unreachable(path.clone(), error.to_string());
        let (database, sequence, notes) = without_panic(&path, || {
            let database = open_checked(&path)?;
            let (sequence, notes) = read_notes(&path, &database)?;
            Ok((database, sequence, notes))
        })?;
        let record = read_watermark(data_dir)?;
        if is_refused(record.provenance) {
            return Err(JournalError::Copied(path));
        }
        expect_complete(&path, record, sequence)?;
        let mut journal = Self {
            file: file_id(&path).map_err(unreachable)?,
            path: path.clone(),
            database: Some(database),
            sequence,
            watermark: None,
            notes,
        };
        journal.accept(record.provenance)?;
        journal.watermark = Some(Watermark::renew(data_dir, sequence).map_err(unreachable)?);
        Ok(journal)
    }

    /// Makes of the provenance of the watermark what it means for a journal that is opened all the same.
    fn accept(&mut self, provenance: Provenance) -> Result<(), JournalError> {
        match provenance {
            Provenance::Original => {}
            Provenance::Missing if self.sequence == 0 => {}
            Provenance::Missing => log::warn!(
                "{} beside the journal was removed: whether the journal is the newest can't be told",
                Watermark::FILE
            ),
            Provenance::Copy => {
                log::warn!(
                    "the journal is a copy, and logouts may be missing; this node is not ready before it has compared with another one"
                );
                self.commit(|transaction| {
                    transaction.open_table(META)?.remove("complete")?;
                    Ok(())
                })?;
                self.notes.is_complete = false;
            }
        }
        Ok(())
    }
}
