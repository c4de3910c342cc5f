//! The revocations on disk: one redb file, written by one thread, read once at the start.
//!
//! A start never makes it, for a data folder without a journal is not an empty set: [`Journal::init`] does, once.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, WriteTransaction};
use tempfile::NamedTempFile;

use super::error::{JournalError, corrupt};
use super::glance::glance;
use super::notes::{Notes, Progress};
use super::store::{open_checked, open_existing, read_notes, read_rows, without_panic};
use super::tables::{META, MOMENTS, TOKENS, create_all, note_dropped, put_progress, put_rows};
use super::watermark::{Mark, NoteOrigin, Noted};
use crate::clock::UnixTime;
use crate::revocation::entry::{Revocation, Window};
use crate::revocation::replication::Origin;
use crate::revocation::set::is_of_meaning;

/// The file with every revocation in force.
pub struct Journal {
    path: PathBuf,
    /// `None` after a failed write: an error of the disk is final for the handle that met it.
    database: Option<Database>,
    /// Which file it is: a journal that was moved away or replaced meanwhile is not written.
    file: FileId,
    /// How many revocations were written, ever.
    sequence: u64,
    /// `None` until everything was checked: what is not believed must not be noted as the newest.
    mark: Option<Mark>,
    notes: Notes,
}

/// Device and inode.
type FileId = (u64, u64);

/// What a data folder holds, as `check` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many revocations have not ended.
    pub live: u64,
    /// When it was last written, to the minute; `None`: never.
    pub written_at: Option<UnixTime>,
}

impl Journal {
    /// The name of the file in the data folder.
    pub const FILE: &'static str = "journal.redb";

    /// The name of the file beside it that says how far it was written.
    pub const MARK_FILE: &'static str = Mark::FILE;

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
        let noted = read_mark(data_dir)?;
        if noted.sequence > 0 {
            return Err(JournalError::Missing(path, noted.sequence));
        }
        let mark = data_dir.join(Mark::FILE);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unreachable(error));
            }
            Ok(()) | Err(_) => {}
        }
        if !create(data_dir, &path)? {
            return Ok(false);
        }
        drop(Self::open(data_dir)?); // which makes the note beside it
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

    /// Opens the journal of a data folder. A folder without one is not an empty set: [`Self::init`] makes one.
    ///
    /// The whole file is checked first: what it no longer says must stop the start, not shorten the list.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        Self::open_unless(data_dir, |origin| origin == NoteOrigin::Copy)
    }

    /// The same for one of several nodes: a copy is opened, too, and counts as incomplete, for the other nodes know
    /// what it may lack.
    pub fn open_syncing(data_dir: &Path) -> Result<Self, JournalError> {
        Self::open_unless(data_dir, |_| false)
    }

    fn open_unless(
        data_dir: &Path,
        is_refused: impl FnOnce(NoteOrigin) -> bool,
    ) -> Result<Self, JournalError> {
        let path = present(data_dir)?;
        let unreachable =
            |error: io::Error| JournalError::Unreachable(path.clone(), error.to_string());
        let (database, sequence, notes) = without_panic(&path, || {
            let database = open_checked(&path)?;
            let (sequence, notes) = read_notes(&path, &database)?;
            Ok((database, sequence, notes))
        })?;
        let noted = read_mark(data_dir)?;
        if is_refused(noted.origin) {
            return Err(JournalError::Copied(path));
        }
        expect_all(&path, noted, sequence)?;
        let mut journal = Self {
            file: file_id(&path).map_err(unreachable)?,
            path: path.clone(),
            database: Some(database),
            sequence,
            mark: None,
            notes,
        };
        journal.heed(noted.origin)?;
        journal.mark = Some(Mark::renew(data_dir, sequence).map_err(unreachable)?);
        Ok(journal)
    }

    /// What the origin of the note beside it means for a journal that is opened all the same.
    fn heed(&mut self, origin: NoteOrigin) -> Result<(), JournalError> {
        match origin {
            NoteOrigin::Original => {}
            NoteOrigin::Unknown if self.sequence == 0 => {}
            NoteOrigin::Unknown => log::warn!(
                "{} beside the journal was removed: whether the journal is the newest can't be told",
                Mark::FILE
            ),
            NoteOrigin::Copy => {
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
        if let Some(mark) = &self.mark {
            mark.raise(sequence);
        }
        self.notes.clock = clock;
        self.notes.is_complete |= progress.is_complete;
        self.notes.vector.extend(progress.reached.iter().copied());
        let introduced = progress.introduced.iter().cloned();
        self.notes.nodes.extend(introduced);
        for origin in &progress.forgotten {
            self.notes.vector.remove(origin);
            self.notes.nodes.remove(origin);
        }
        self.notes.origin = progress.origin.unwrap_or(self.notes.origin);
        self.notes.stream = progress.stream.or(self.notes.stream);
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
    fn commit(
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

/// A clean end makes a new note, so that a copy that was taken while this process ran is known as one.
impl Drop for Journal {
    fn drop(&mut self) {
        self.database = None;
        let data_dir = self.path.parent().filter(|_| self.mark.is_some());
        if let (Some(data_dir), Ok(())) = (data_dir, self.expect_in_place())
            && let Err(error) = Mark::renew(data_dir, self.sequence)
        {
            log::debug!("the journal's mark can't be renewed: {error}");
        }
    }
}

/// The journal of a data folder, if there is one.
fn present(data_dir: &Path) -> Result<PathBuf, JournalError> {
    let path = data_dir.join(Journal::FILE);
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => {
            refuse_dangling(&path)?;
            let noted = read_mark(data_dir)?;
            Err(JournalError::Missing(path, noted.sequence))
        }
        Err(error) => Err(JournalError::Unreachable(path, error.to_string())),
    }
}

/// No part of a path is a link to what does not exist: nothing can be made there, and something was there once.
fn refuse_dangling(path: &Path) -> Result<(), JournalError> {
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

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn read_mark(data_dir: &Path) -> Result<Noted, JournalError> {
    Mark::read(data_dir).map_err(|error| {
        let path = data_dir.join(Mark::FILE);
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
fn expect_all(path: &Path, noted: Noted, sequence: u64) -> Result<(), JournalError> {
    match noted.sequence.checked_sub(sequence) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(JournalError::Behind(path.to_owned(), missing)),
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

#[cfg(test)]
mod tests {
    use super::super::tables::FORMAT;
    use super::*;
    use crate::revocation::entry::{DateKind, Id, Source};

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
            is_refused(Journal::look(folder.path(), now).map(drop));
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
