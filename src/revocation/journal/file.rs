//! The revocations on disk: one redb file, written by one thread, read once at the start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, WriteTransaction};

use super::error::JournalError;
use super::notes::{Notes, Progress};
use super::place::{self, FileId, file_id};
use super::store::{open_existing, read_rows, without_panic};
use super::tables::{META, MOMENTS, TOKENS, note_dropped, put_progress, put_rows};
use super::watermark::Watermark;
use crate::clock::UnixTime;
use crate::revocation::entry::{Revocation, Window};

/// The file with every revocation in force.
pub struct Journal {
    pub(super) path: PathBuf,
    /// `None` after a failed write: an error of the disk is final for the handle that met it.
    pub(super) database: Option<Database>,
    /// Which file it is: a journal that was moved away or replaced meanwhile is not written.
    pub(super) file: FileId,
    /// How many revocations were written, ever.
    pub(super) sequence: u64,
    /// `None` until everything was checked: what is not believed must not be noted as the newest.
    pub(super) watermark: Option<Watermark>,
    pub(super) notes: Notes,
}

impl Journal {
    /// The name of the file in the data folder.
    pub const FILE: &'static str = place::FILE;

    /// The name of the file beside it that says how far it was written.
    pub const MARK_FILE: &'static str = Watermark::FILE;

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands every row to `each`, in no order that matters.
    pub fn replay(&self, mut each: impl FnMut(Revocation)) -> Result<(), JournalError> {
        let gone =
            || JournalError::Unwritable(self.path.clone(), "its last write failed".to_owned());
        let database = self.database.as_ref().ok_or_else(gone)?;
        without_panic(&self.path, || read_rows(&self.path, database, &mut each))
    }

    /// What it says beside the revocations.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Writes revocations in one transaction; they are on disk when this returns.
    pub fn write<'a>(
        &mut self,
        revocations: impl Iterator<Item = &'a Revocation>,
    ) -> Result<(), JournalError> {
        self.write_with(revocations, &Progress::default(), UnixTime::EPOCH)
    }

    /// The same, with what is noted beside them, `now`.
    pub fn write_with<'a>(
        &mut self,
        revocations: impl Iterator<Item = &'a Revocation>,
        progress: &Progress,
        now: UnixTime,
    ) -> Result<(), JournalError> {
        let mut sequence = self.sequence;
        let clock = self.notes.clock.max(now);
        self.commit(|transaction| {
            sequence = put_rows(transaction, revocations, sequence)?;
            put_progress(transaction, progress)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert("sequence", sequence)?;
            meta.insert("clock", clock.seconds())?;
            Ok(())
        })?;
        self.sequence = sequence;
        if let Some(watermark) = &self.watermark {
            watermark.raise(sequence);
        }
        self.notes.advance(progress, clock);
        Ok(())
    }

    /// Deletes the rows of ended windows, as far as they are over by the wall clock too.
    pub fn drop_windows(&mut self, windows: &[Window], now: UnixTime) -> Result<(), JournalError> {
        self.commit(|transaction| {
            let mut tokens = transaction.open_table(TOKENS)?;
            for window in windows {
                let rows = (window.number(), 0)..=(window.number(), u64::MAX);
                tokens.retain_in(rows, |_, (_, until, _)| until >= now.seconds())?;
            }
            note_dropped(transaction, now)
        })
    }

    /// Deletes the undated rows, the cutoffs and the dates that are over.
    pub fn drop_undated(&mut self, now: UnixTime) -> Result<(), JournalError> {
        self.commit(|transaction| {
            let undated = Window::UNDATED.number();
            let rows = (undated, 0)..=(undated, u64::MAX);
            transaction
                .open_table(TOKENS)?
                .retain_in(rows, |_, (_, until, _)| until >= now.seconds())?;
            transaction
                .open_table(MOMENTS)?
                .retain(|_, (_, until)| until >= now.seconds())?;
            note_dropped(transaction, now)
        })
    }

    /// Runs one durable transaction, on a fresh handle when the last one failed.
    pub(super) fn commit(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), JournalError> {
        self.expect_in_place()?;
        let database = match self.database.take() {
            Some(database) => database,
            None => open_existing(&self.path)?,
        };
        let attempt = || -> Result<(), redb::Error> {
            let mut transaction = database.begin_write()?;
            // Two-phase commit and a saved allocator: opening after a crash takes under a millisecond.
            transaction.set_quick_repair(true);
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        // A panic of the database must not end the one thread that writes.
        let done = catch_unwind(AssertUnwindSafe(attempt));
        done.unwrap_or(Err(redb::Error::PreviousIo))
            .map_err(|error| JournalError::Unwritable(self.path.clone(), error.to_string()))?;
        self.database = Some(database);
        Ok(())
    }

    /// What is written to a file that no start would find is not remembered.
    fn expect_in_place(&self) -> Result<(), JournalError> {
        let why = match file_id(&self.path) {
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => "another file is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(JournalError::Unwritable(self.path.clone(), why))
    }
}

/// A clean end makes a new watermark, so that a copy that was taken while this process ran is known as one.
impl Drop for Journal {
    fn drop(&mut self) {
        self.database = None;
        let data_dir = self.path.parent().filter(|_| self.watermark.is_some());
        if let (Some(data_dir), Ok(())) = (data_dir, self.expect_in_place())
            && let Err(error) = Watermark::renew(data_dir, self.sequence)
        {
            log::debug!("the journal's mark can't be renewed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::super::tables::FORMAT;
    use super::*;
    use crate::revocation::entry::{DateKind, Id, Source};
    use crate::revocation::replication::{Origin, VersionVector};

    fn token(number: u8) -> Revocation {
        Revocation::Token {
            id: Id::from_bytes([number; 16]),
            window: Window::from_number(7),
            until: UnixTime::from_seconds(u64::from(number)),
            source: Source::from_number(u32::from(number)),
        }
    }

    fn new_installation() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::init(folder.path()).unwrap());
        folder
    }

    fn cutoff(not_before: u64, until: u64) -> Revocation {
        Revocation::Cutoff {
            id: Id::from_bytes([9; 16]),
            not_before: UnixTime::from_seconds(not_before),
            until: UnixTime::from_seconds(until),
        }
    }

    fn date(at_ms: u64) -> Revocation {
        Revocation::Date {
            id: Id::from_bytes([7; 16]),
            kind: DateKind::Seen,
            at_ms,
            until: UnixTime::from_seconds(90),
        }
    }

    #[test]
    fn of_two_first_dates_the_earlier_is_kept() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([cutoff(5, 60)].iter()).unwrap();
        journal.write([date(9), date(5), date(7)].iter()).unwrap();
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(rows(&journal), [cutoff(5, 60), date(5)]);
    }

    #[test]
    fn a_journal_of_another_format_is_refused_and_left_as_it_is() {
        let folder = new_installation();
        let file = folder.path().join(Journal::FILE);
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([token(1), date(5)].iter()).unwrap();
        for format in [0, FORMAT - 1, FORMAT + 1] {
            let other = |transaction: &WriteTransaction| {
                transaction.open_table(META)?.insert("format", format)?;
                Ok(())
            };
            journal.commit(other).unwrap();
            let bytes = fs::read(&file).unwrap();
            drop(journal);
            fs::write(&file, &bytes).unwrap(); // as a crash leaves it
            let is_refused = |tried: Result<(), JournalError>| match tried {
                Err(JournalError::Format(_, found)) => assert_eq!(found, format),
                other => panic!("{other:?}"),
            };
            let now = UnixTime::EPOCH;
            is_refused(Journal::inspect(folder.path(), now).map(drop));
            assert_eq!(fs::read(&file).unwrap(), bytes);
            is_refused(Journal::open(folder.path()).map(drop));
            is_refused(Journal::open_syncing(folder.path()).map(drop));
            assert!(!Journal::init(folder.path()).unwrap(), "there is one");
            fs::write(&file, &bytes).unwrap();
            let database = open_existing(&file).unwrap();
            let transaction = database.begin_write().unwrap();
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert("format", FORMAT).unwrap();
            drop(meta);
            transaction.commit().unwrap();
            drop(database);
            journal = Journal::open(folder.path()).unwrap();
            assert_eq!(rows(&journal), [token(1), date(5)]);
        }
    }

    #[test]
    fn a_flipped_bit_that_no_checksum_covers_is_noticed() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        for number in 0..60u8 {
            journal.write([token(number)].iter()).unwrap();
        }
        let file = folder.path().join(Journal::FILE);
        let mut bytes = fs::read(&file).unwrap(); // as a crash leaves it
        drop(journal);
        bytes[9] ^= 1;
        fs::write(&file, &bytes).unwrap();
        match Journal::open(folder.path()) {
            Err(JournalError::Behind(_, 1) | JournalError::Corrupt(..)) => {}
            other => panic!("{:?}", other.err()),
        }
    }

    fn rows(journal: &Journal) -> Vec<Revocation> {
        let mut rows = Vec::new();
        journal.replay(|row| rows.push(row)).unwrap();
        rows
    }

    #[test]
    fn what_was_written_is_read_after_a_restart() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([token(1), token(2)].iter()).unwrap();
        drop(journal);
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([token(3)].iter()).unwrap();
        assert_eq!(rows(&journal), [token(1), token(2), token(3)]);
    }

    #[test]
    fn the_place_on_the_bus_is_kept_with_what_was_read_there() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.notes().stream, None);
        let progress = Progress {
            stream: Some((1_790_000_000_123, 4)),
            ..Progress::default()
        };
        let now = UnixTime::EPOCH;
        journal
            .write_with([token(1)].iter(), &progress, now)
            .unwrap();
        journal.write([token(2)].iter()).unwrap();
        assert_eq!(journal.notes().stream, progress.stream);
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.notes().stream, progress.stream);
    }

    #[test]
    fn a_forgotten_origin_is_not_counted_after_a_restart_attacks_a13() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        let own = journal.notes().origin;
        let [named, gone] = [1, 2].map(|number| Origin::from_bytes([number; 16]));
        let progress = Progress {
            reached: vec![(own, 1), (named, 2), (gone, 3)],
            introduced: vec![(named, "b".to_owned()), (gone, "c".to_owned())],
            ..Progress::default()
        };
        let now = UnixTime::EPOCH;
        journal
            .write_with([token(1)].iter(), &progress, now)
            .unwrap();
        let progress = Progress {
            forgotten: vec![gone],
            ..Progress::default()
        };
        journal
            .write_with(std::iter::empty(), &progress, now)
            .unwrap();
        drop(journal);
        for _ in 0..2 {
            let journal = Journal::open(folder.path()).unwrap();
            assert_eq!(
                journal.notes().vector,
                VersionVector::from([(own, 1), (named, 2)])
            );
            assert_eq!(
                journal.notes().nodes,
                BTreeMap::from([(named, "b".to_owned())])
            );
            assert_eq!(rows(&journal), [token(1)], "what was revoked stays");
        }
    }

    #[test]
    fn cutoffs_merge_by_maximum_trap_15() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal
            .write([cutoff(5, 50), cutoff(3, 70)].iter())
            .unwrap();
        assert_eq!(rows(&journal), [cutoff(5, 70)]);
    }

    #[test]
    fn an_ended_window_leaves_the_disk_and_a_live_row_stays() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([token(1), token(9)].iter()).unwrap();
        let now = UnixTime::from_seconds(5);
        journal
            .drop_windows(&[Window::from_number(7)], now)
            .unwrap();
        assert_eq!(rows(&journal), [token(9)]);
    }

    #[test]
    fn a_confirmed_token_outlives_the_row_of_its_first_hour() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        let row = |until| Revocation::Token {
            id: Id::from_bytes([1; 16]),
            window: Window::UNDATED,
            until: UnixTime::from_seconds(until),
            source: Source::from_number(7),
        };
        let confirmed = row(900).vouched(Source::Verified, UnixTime::from_seconds(900));
        journal.write([row(10), confirmed, row(20)].iter()).unwrap();
        journal.drop_undated(UnixTime::from_seconds(50)).unwrap();
        assert_eq!(rows(&journal), [confirmed]);
    }

    #[test]
    fn a_second_opener_is_refused() {
        let folder = new_installation();
        let _first = Journal::open(folder.path()).unwrap();
        let second = Journal::open(folder.path());
        assert!(matches!(second, Err(JournalError::InUse(_))));
    }

    #[test]
    fn an_emptied_file_is_corrupt_and_not_a_new_journal() {
        let folder = new_installation();
        drop(Journal::open(folder.path()).unwrap());
        fs::write(folder.path().join(Journal::FILE), b"").unwrap();
        assert!(matches!(
            Journal::open(folder.path()),
            Err(JournalError::Corrupt(..))
        ));
    }

    /// Flips bits all over a file, and expects that every damage is found or changes nothing.
    fn expect_no_loss(intact: &[u8], written: &[Revocation]) {
        let folder = new_installation();
        let path = folder.path().join(Journal::FILE);
        let mut found = 0;
        for place in (0..intact.len()).step_by(intact.len() / 150 + 1) {
            let mut damaged = intact.to_vec();
            damaged[place] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            match Journal::open(folder.path()) {
                Ok(journal) => assert_eq!(rows(&journal), written, "byte {place}"),
                Err(_) => found += 1,
            }
        }
        assert!(found > 0, "no damage was ever found");
    }

    #[test]
    fn a_flipped_bit_never_loses_a_row() {
        let folder = new_installation();
        let path = folder.path().join(Journal::FILE);
        let mut journal = Journal::open(folder.path()).unwrap();
        let written: Vec<_> = (1..=200).map(token).collect();
        journal.write(written[..150].iter()).unwrap();
        journal.write(written[150..].iter()).unwrap();
        let after_a_crash = fs::read(&path).unwrap();
        drop(journal);
        expect_no_loss(&after_a_crash, &written);
        expect_no_loss(&fs::read(&path).unwrap(), &written);
    }

    #[test]
    fn a_shortened_file_never_loses_a_row() {
        let folder = new_installation();
        let path = folder.path().join(Journal::FILE);
        let mut journal = Journal::open(folder.path()).unwrap();
        let written: Vec<_> = (1..=200).map(token).collect();
        journal.write(written.iter()).unwrap();
        let intact = fs::read(&path).unwrap();
        drop(journal);
        for tenth in 0..10 {
            fs::write(&path, &intact[..intact.len() / 10 * tenth]).unwrap();
            match Journal::open(folder.path()) {
                Ok(journal) => assert_eq!(rows(&journal), written, "{tenth} tenths"),
                Err(error) => assert!(matches!(error, JournalError::Corrupt(..)), "{error}"),
            }
        }
    }
}
