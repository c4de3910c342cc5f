//! The revocations on disk: one redb file, written by one thread, read once at the start.
//!
//! A start never makes it, for a data folder without a journal is not an empty set: [`Journal::init`] does, once.
//!
//! The file holds six tables. `tokens`: (window, sequence) to id (16 bytes), until (u64), source (u32),
//! all little endian. `cutoffs`: id to (not before, until). `dates`: (kind, id) to (milliseconds, until).
//! `vector`: origin to the number of its last row before which none is missing. `nodes`: origin to the name of the node that
//! introduced itself as it. `meta`: `format`, `sequence`, `origin` (in two halves), `complete`,
//! `clock`, `dropped` and `bus` (in two halves).
//! Rows are keyed by window first, so that new rows are neighbours and an ended window is one range.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition, TableError, WriteTransaction,
};
use tempfile::NamedTempFile;

use super::watermark::{Mark, NoteOrigin, Noted};
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Revocation, Source, Window};
use crate::revocation::history::{Origin, Vector};
use crate::revocation::set::is_of_meaning;

const TOKENS: TableDefinition<'_, (u32, u64), &[u8; 28]> = TableDefinition::new("tokens");
const CUTOFFS: TableDefinition<'_, &[u8; 16], (u64, u64)> = TableDefinition::new("cutoffs");
const DATES: TableDefinition<'_, (u8, &[u8; 16]), (u64, u64)> = TableDefinition::new("dates");
const VECTOR: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("vector");
const NODES: TableDefinition<'_, &[u8; 16], &str> = TableDefinition::new("nodes");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// The layout that this version reads and writes.
const FORMAT: u64 = 2;

/// redb's cache. Its default of 1 GiB would dwarf the set.
const CACHE_BYTES: usize = 16 << 20;

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

/// What the journal says beside the revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// Which origin this node is.
    pub origin: Origin,
    /// How much of every origin's work is in the journal: of this node's own, and of those in `nodes`.
    pub vector: Vector,
    /// Which node introduced itself as which origin.
    pub nodes: BTreeMap<Origin, String>,
    /// Whether it was ever known to hold everything that was in force: a new one says nothing yet.
    pub is_complete: bool,
    /// The latest time that was seen when something was written.
    pub clock: UnixTime,
    /// What ended before this moment may have been dropped.
    pub dropped: UnixTime,
    /// The last entry of the bus that was read; `None`: none ever was.
    pub bus: Option<(u64, u64)>,
}

/// What is noted together with revocations, in the same transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything of these origins up to these numbers is in the journal now.
    pub reached: Vec<(Origin, u64)>,
    /// These origins are those of the nodes with these names.
    pub introduced: Vec<(Origin, String)>,
    /// These origins are counted no more; what they revoked stays.
    pub forgotten: Vec<Origin>,
    /// The journal holds everything that is in force.
    pub is_complete: bool,
    /// This node is another origin from now on.
    pub origin: Option<Origin>,
    /// Everything on the bus up to this entry is in the journal now.
    pub bus: Option<(u64, u64)>,
}

/// Why the journal can't be used.
#[derive(Debug)]
pub enum JournalError {
    /// There is none, although so many revocations were written to it; 0: none that is known of.
    Missing(PathBuf, u64),
    /// It can't be found: this link leads to that place, where nothing is.
    Dangling(PathBuf, PathBuf),
    /// It was put here together with the note of how far it was written: it may be older than what was here.
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

impl std::error::Error for JournalError {}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(path, 0) => write!(
                f,
                "there is no journal: {} does not exist\n  \
                 help: if this is a new installation, make an empty one: run `doorward init` once\n  \
                 help: otherwise the data folder was renamed or moved, or its disk is not mounted: mount it, put it \
                 back, or correct `data_dir`; with an empty journal, logged-out tokens would work again",
                path.display()
            ),
            Self::Missing(path, written) => write!(
                f,
                "there is no journal: {} does not exist; it lacks the last {written} rows that were written \
                 to it\n  \
                 help: this is no new installation: the journal was deleted, renamed or moved, or its disk is not \
                 mounted: put the newest copy back, or mount it\n  \
                 help: if it is lost, remove {} beside it, make an empty one with `doorward init`, start, and cut off \
                 everybody who was logged in before now with `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Mark::FILE,
            ),
            Self::Dangling(link, target) => write!(
                f,
                "there is no journal: {} is a link to {}, which does not exist\n  \
                 help: what it leads to was renamed or moved, or its disk is not mounted: mount it, put it back, or \
                 correct the link; with an empty journal, logged-out tokens would work again\n  \
                 help: if this is a new installation, remove the link, and run `doorward init` once",
                link.display(),
                target.display()
            ),
            Self::Copied(path) => write!(
                f,
                "the journal {} is a copy: {} beside it is not the file that doorward wrote last, so logouts may be \
                 missing\n  \
                 help: if doorward was stopped when the folder was copied, and did not run since, remove {} and \
                 start\n  \
                 help: if the copy is older, put the newest folder back; or remove {}, start, and cut off everybody \
                 who was logged in before now with `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Mark::FILE,
                Mark::FILE,
                Mark::FILE,
            ),
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
                 help: doorward does not start, for logged-out tokens would work again. Restore the file \
                 from a backup; or move it and {} away, run `doorward init`, start, and cut off everybody who was logged in before \
                 now with `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Mark::FILE
            ),
            Self::Behind(path, missing) => write!(
                f,
                "the journal {} lacks the last {missing} rows that were written to it: it is damaged, \
                 deleted, or an older copy\n  \
                 help: doorward does not start, for logged-out tokens would work again. Put the newest copy \
                 back; or remove {} beside it, start, and cut off everybody who was logged in before now with \
                 `doorward revoke --shop NAME --all-before now`",
                path.display(),
                Mark::FILE,
            ),
            Self::Format(path, format) => write!(
                f,
                "the journal {} has format {format}, and this version reads format {FORMAT}\n  \
                 help: start the version of doorward that wrote it, or a newer one",
                path.display()
            ),
            Self::Unwritable(path, why) => {
                write!(f, "the journal {} can't be written: {why}", path.display())
            }
        }
    }
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

    /// The same for a node of a cluster: a copy is opened, too, and counts as incomplete, for the other nodes know
    /// what it may lack.
    pub fn open_in_cluster(data_dir: &Path) -> Result<Self, JournalError> {
        Self::open_unless(data_dir, |_| false)
    }

    fn open_unless(
        data_dir: &Path,
        is_refused: impl FnOnce(NoteOrigin) -> bool,
    ) -> Result<Self, JournalError> {
        let path = present(data_dir)?;
        let unreachable =
            |error: io::Error| JournalError::Unreachable(path.clone(), error.to_string());
        let database = without_panic(&path, || open_checked(&path))?;
        let noted = read_mark(data_dir)?;
        if is_refused(noted.origin) {
            return Err(JournalError::Copied(path));
        }
        let mut journal = Self {
            file: file_id(&path).map_err(unreachable)?,
            path: path.clone(),
            database: Some(database),
            sequence: 0,
            mark: None,
            notes: Notes {
                origin: Origin::from_bytes([0; 16]),
                vector: Vector::new(),
                nodes: BTreeMap::new(),
                is_complete: false,
                clock: UnixTime::EPOCH,
                dropped: UnixTime::EPOCH,
                bus: None,
            },
        };
        without_panic(&path, || journal.bring_up_to_date())?;
        (journal.sequence, journal.notes) = without_panic(&path, || journal.read_notes())?;
        expect_all(&path, noted, journal.sequence)?;
        journal.heed(noted.origin)?;
        journal.mark = Some(Mark::renew(data_dir, journal.sequence).map_err(unreachable)?);
        journal.drop_nameless()?;
        Ok(journal)
    }

    /// What the origin of the note beside it means for a journal that is opened all the same.
    fn heed(&mut self, origin: NoteOrigin) -> Result<(), JournalError> {
        match origin {
            NoteOrigin::Original => {}
            NoteOrigin::Unknown if self.sequence == 0 => {}
            NoteOrigin::Unknown => log::warn!(
                "{} beside the journal was removed, or written by an older version: whether the journal is the newest can't be told",
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
        let unreadable = |error: redb::Error| corrupt(&path, &error.to_string());
        without_panic(&path, || {
            let database = glance(&path)?;
            let begin_read = || Ok::<_, redb::Error>(database.begin_read()?);
            let meta = begin_read().and_then(|transaction| read_meta(&transaction));
            let meta = meta.map_err(unreadable)?;
            let number = |key: &str| meta.get(key).copied().unwrap_or_default();
            if !(1..=FORMAT).contains(&number("format")) {
                return Err(JournalError::Format(path.clone(), number("format")));
            }
            let noted = read_mark(data_dir)?;
            expect_all(&path, noted, number("sequence"))?;
            let read = begin_read().and_then(|transaction| read_rows(&transaction, &mut each));
            read.map_err(unreadable)?;
            if noted.origin == NoteOrigin::Copy {
                return Err(JournalError::Copied(path.clone())); // last: a node of a cluster starts with it
            }
            let written_at = UnixTime::from_seconds(number("clock"));
            Ok((written_at > UnixTime::EPOCH).then_some(written_at))
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands every row to `each`, in no order that matters.
    pub fn replay(&self, mut each: impl FnMut(Revocation)) -> Result<(), JournalError> {
        without_panic(&self.path, || {
            self.begin_read()
                .and_then(|transaction| read_rows(&transaction, &mut each))
                .map_err(|error| corrupt(&self.path, &error.to_string()))
        })
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
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut cutoffs = transaction.open_table(CUTOFFS)?;
            let mut dates = transaction.open_table(DATES)?;
            for revocation in revocations {
                sequence += 1;
                match revocation {
                    Revocation::Token {
                        id,
                        window,
                        until,
                        source,
                    } => {
                        let row = encode_token(id, *until, *source);
                        tokens.insert((window.number(), sequence), &row)?;
                    }
                    Revocation::Cutoff {
                        id,
                        not_before,
                        until,
                    } => {
                        let known = cutoffs.get(id.bytes())?.map_or((0, 0), |row| row.value());
                        let raised = (
                            known.0.max(not_before.seconds()),
                            known.1.max(until.seconds()),
                        );
                        cutoffs.insert(id.bytes(), raised)?;
                    }
                    Revocation::Date {
                        id,
                        kind,
                        at_ms,
                        until,
                    } => {
                        let key = (*kind as u8, id.bytes());
                        let known = dates.get(key)?.map(|row| row.value());
                        let (known_ms, known_until) = known.unwrap_or((*at_ms, 0));
                        let at_ms = if kind.is_earliest() {
                            known_ms.min(*at_ms)
                        } else {
                            known_ms.max(*at_ms)
                        };
                        dates.insert(key, (at_ms, known_until.max(until.seconds())))?;
                    }
                }
            }
            let mut vector = transaction.open_table(VECTOR)?;
            for (origin, reached) in &progress.reached {
                vector.insert(origin.bytes(), reached)?;
            }
            let mut nodes = transaction.open_table(NODES)?;
            for (origin, node) in &progress.introduced {
                nodes.insert(origin.bytes(), node.as_str())?;
            }
            for origin in &progress.forgotten {
                vector.remove(origin.bytes())?;
                nodes.remove(origin.bytes())?;
            }
            let mut meta = transaction.open_table(META)?;
            meta.insert("sequence", sequence)?;
            meta.insert("clock", clock.seconds())?;
            if progress.is_complete {
                meta.insert("complete", 1)?;
            }
            if let Some(origin) = &progress.origin {
                note_origin(&mut meta, origin)?;
            }
            if let Some((time, number)) = progress.bus {
                let [time_key, number_key] = BUS_KEYS;
                meta.insert(time_key, time)?;
                meta.insert(number_key, number)?;
            }
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
        self.notes.bus = progress.bus.or(self.notes.bus);
        Ok(())
    }

    /// Deletes the rows of ended windows, as far as they are over by the wall clock too.
    pub fn drop_windows(&mut self, windows: &[Window], now: UnixTime) -> Result<(), JournalError> {
        self.commit(|transaction| {
            let mut tokens = transaction.open_table(TOKENS)?;
            for window in windows {
                let rows = (window.number(), 0)..=(window.number(), u64::MAX);
                tokens.retain_in(rows, |_, row| until_of(row) >= now.seconds())?;
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
                .retain_in(rows, |_, row| until_of(row) >= now.seconds())?;
            transaction
                .open_table(CUTOFFS)?
                .retain(|_, (_, until)| until >= now.seconds())?;
            transaction
                .open_table(DATES)?
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

    /// A journal of format 1 knew nothing of other nodes: it was the only one, and complete.
    fn bring_up_to_date(&mut self) -> Result<(), JournalError> {
        let format = self
            .read_meta()
            .map_err(|error| corrupt(&self.path, &error.to_string()))?
            .get("format")
            .copied()
            .unwrap_or_default();
        match format {
            FORMAT => Ok(()),
            1 => self.commit(|transaction| {
                let origin = Origin::random().map_err(|_| redb::Error::PreviousIo)?;
                transaction.open_table(VECTOR)?;
                let mut meta = transaction.open_table(META)?;
                note_origin(&mut meta, &origin)?;
                meta.insert("complete", 1)?;
                meta.insert("format", FORMAT)?;
                Ok(())
            }),
            _ => Err(JournalError::Format(self.path.clone(), format)),
        }
    }

    /// Drops the numbers of origins that no node introduced: versions before this one took them from any peer. What they
    /// revoked stays.
    fn drop_nameless(&mut self) -> Result<(), JournalError> {
        let Notes {
            origin,
            vector,
            nodes,
            ..
        } = &self.notes;
        let is_nameless = |of: &&Origin| **of != *origin && !nodes.contains_key(*of);
        let nameless: Vec<_> = vector.keys().filter(is_nameless).copied().collect();
        if nameless.is_empty() {
            return Ok(());
        }
        let progress = Progress {
            forgotten: nameless,
            ..Progress::default()
        };
        self.write_with(std::iter::empty(), &progress, UnixTime::EPOCH)
    }

    fn read_notes(&self) -> Result<(u64, Notes), JournalError> {
        let unreadable = |error: redb::Error| corrupt(&self.path, &error.to_string());
        let meta = self.read_meta().map_err(unreadable)?;
        let vector = self.read_vector().map_err(unreadable)?;
        let introduced = self.read_nodes().map_err(unreadable)?;
        let number = |key: &str| meta.get(key).copied().unwrap_or_default();
        let notes = Notes {
            origin: origin_of(ORIGIN_KEYS.map(number)),
            vector,
            nodes: introduced,
            is_complete: number("complete") == 1,
            clock: UnixTime::from_seconds(number("clock")),
            dropped: UnixTime::from_seconds(number("dropped")),
            bus: meta
                .contains_key(BUS_KEYS[0])
                .then(|| BUS_KEYS.map(number).into()),
        };
        Ok((number("sequence"), notes))
    }

    fn read_meta(&self) -> Result<HashMap<String, u64>, redb::Error> {
        read_meta(&self.begin_read()?)
    }

    fn read_vector(&self) -> Result<Vector, redb::Error> {
        let mut vector = Vector::new();
        for row in self.begin_read()?.open_table(VECTOR)?.iter()? {
            let (origin, reached) = row?;
            vector.insert(Origin::from_bytes(*origin.value()), reached.value());
        }
        Ok(vector)
    }

    /// Journals of earlier versions have no such table.
    fn read_nodes(&self) -> Result<BTreeMap<Origin, String>, redb::Error> {
        let mut nodes = BTreeMap::new();
        let table = match self.begin_read()?.open_table(NODES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(nodes),
            Err(error) => return Err(error.into()),
        };
        for row in table.iter()? {
            let (origin, node) = row?;
            let origin = Origin::from_bytes(*origin.value());
            nodes.insert(origin, node.value().to_owned());
        }
        Ok(nodes)
    }

    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        let database = self.database.as_ref().ok_or(redb::Error::PreviousIo)?;
        Ok(database.begin_read()?)
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

fn read_meta(transaction: &ReadTransaction) -> Result<HashMap<String, u64>, redb::Error> {
    let mut meta = HashMap::new();
    for row in transaction.open_table(META)?.iter()? {
        let (key, value) = row?;
        meta.insert(key.value().to_owned(), value.value());
    }
    Ok(meta)
}

fn read_rows(
    transaction: &ReadTransaction,
    each: &mut impl FnMut(Revocation),
) -> Result<(), redb::Error> {
    for row in transaction.open_table(TOKENS)?.iter()? {
        let (key, value) = row?;
        let (window, _sequence) = key.value();
        each(decode_token(Window::from_number(window), value.value()));
    }
    for row in transaction.open_table(CUTOFFS)?.iter()? {
        let (key, value) = row?;
        let (not_before, until) = value.value();
        each(Revocation::Cutoff {
            id: Id::from_bytes(*key.value()),
            not_before: UnixTime::from_seconds(not_before),
            until: UnixTime::from_seconds(until),
        });
    }
    let dates = match transaction.open_table(DATES) {
        Ok(dates) => dates,
        // A journal of before tokens were dated: the next write makes the table.
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for row in dates.iter()? {
        let (key, value) = row?;
        let ((kind, id), (at_ms, until)) = (key.value(), value.value());
        let Some(kind) = DateKind::from_number(kind) else {
            continue; // of a later version
        };
        each(Revocation::Date {
            id: Id::from_bytes(*id),
            kind,
            at_ms,
            until: UnixTime::from_seconds(until),
        });
    }
    Ok(())
}

/// Notes what is not there any more, in the transaction that drops it.
fn note_dropped(transaction: &WriteTransaction, now: UnixTime) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let before = meta.get("dropped")?.map_or(0, |row| row.value());
    meta.insert("dropped", before.max(now.seconds()))?;
    Ok(())
}

/// The keys of the two numbers of the bus's last entry.
const BUS_KEYS: [&str; 2] = ["bus", "bus_2"];

/// The keys of the two halves of this node's origin.
const ORIGIN_KEYS: [&str; 2] = ["origin", "origin_2"];

fn note_origin(
    meta: &mut redb::Table<'_, &'static str, u64>,
    origin: &Origin,
) -> Result<(), redb::Error> {
    for (key, half) in ORIGIN_KEYS.into_iter().zip(halves_of(origin)) {
        meta.insert(key, half)?;
    }
    Ok(())
}

fn halves_of(origin: &Origin) -> [u64; 2] {
    [0, 8].map(|from| {
        let mut half = [0; 8];
        half.copy_from_slice(&origin.bytes()[from..from + 8]);
        u64::from_le_bytes(half)
    })
}

fn origin_of([first, second]: [u64; 2]) -> Origin {
    Origin::from_bytes((u128::from(first) | (u128::from(second) << 64)).to_le_bytes())
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
        transaction.open_table(TOKENS)?;
        transaction.open_table(CUTOFFS)?;
        transaction.open_table(DATES)?;
        transaction.open_table(VECTOR)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        note_origin(&mut meta, &origin)?;
        drop(meta);
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

/// Opens a journal and reads every page of it once.
fn open_checked(path: &Path) -> Result<Database, JournalError> {
    let mut database = open_existing(path)?;
    match database.check_integrity() {
        Ok(true) => Ok(database),
        Ok(false) => Err(corrupt(path, "its checksums do not fit")),
        Err(error) => Err(refused(path, &error)),
    }
}

/// redb panics over some kinds of damage (seen in 4.4.0: a flipped bit in its saved allocator). At the
/// start that is one more way to say that the file is corrupt.
fn without_panic<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(corrupt(path, "reading it ended in a panic of the database")))
}

fn open_existing(path: &Path) -> Result<Database, JournalError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .open(path)
        .map_err(|error| refused(path, &error))
}

/// Opens a journal for a look, unless a process has it open. The lock is not kept, so that one can be started
/// meanwhile.
fn glance(path: &Path) -> Result<Database, JournalError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    if let Err(error @ DatabaseError::DatabaseAlreadyOpen) = builder.open_read_only(path) {
        return Err(refused(path, &error));
    }
    let unreachable =
        |error: io::Error| JournalError::Unreachable(path.to_owned(), error.to_string());
    let file = File::open(path).map_err(unreachable)?;
    let length = file.metadata().map_err(unreachable)?.len();
    if length == 0 {
        return Err(corrupt(path, "it is empty"));
    }
    let written = Mutex::default();
    let backend = ReadThrough {
        file,
        length: AtomicU64::new(length),
        written,
    };
    builder
        .create_with_backend(backend)
        .map_err(|error| refused(path, &error))
}

/// A file to the store, which writes whenever it opens or repairs one: that is kept in memory.
#[derive(Debug)]
struct ReadThrough {
    file: File,
    length: AtomicU64,
    /// Pages by their number.
    written: Mutex<HashMap<u64, [u8; PAGE_BYTES]>>,
}

const PAGE_BYTES: usize = 4096;

impl ReadThrough {
    /// What is in the file of a page; zeros behind its end.
    fn page_of_file(&self, number: u64) -> io::Result<[u8; PAGE_BYTES]> {
        let mut page = [0; PAGE_BYTES];
        let mut read = 0;
        while read < PAGE_BYTES {
            let at = number * PAGE_BYTES as u64 + read as u64;
            match self.file.read_at(&mut page[read..], at)? {
                0 => break,
                some => read += some,
            }
        }
        Ok(page)
    }
}

/// The parts of a range: the number of a page, where the part begins in it, and where in the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let begin = usize::try_from(at % PAGE_BYTES as u64).ok()?;
        let end = length.min(done + PAGE_BYTES - begin);
        let part = (done < length).then_some((at / PAGE_BYTES as u64, begin, done..end));
        done = end;
        part
    })
}

impl StorageBackend for ReadThrough {
    fn len(&self) -> io::Result<u64> {
        Ok(self.length.load(Ordering::Relaxed))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let written = self.written.lock();
        for (number, begin, part) in parts(offset, out.len()) {
            let page = match written.get(&number) {
                Some(page) => *page,
                None => self.page_of_file(number)?,
            };
            let end = begin + part.len();
            out[part].copy_from_slice(&page[begin..end]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.length.store(length, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock();
        for (number, begin, part) in parts(offset, data.len()) {
            let page = match written.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(free) => free.insert(self.page_of_file(number)?),
            };
            let end = begin + part.len();
            page[begin..end].copy_from_slice(&data[part]);
        }
        Ok(())
    }
}

/// Tells damage of the file from a file that can't be reached.
fn refused(path: &Path, error: &DatabaseError) -> JournalError {
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

fn corrupt(path: &Path, why: &str) -> JournalError {
    JournalError::Corrupt(path.to_owned(), why.to_owned())
}

/// What the file holds of a token.
pub fn encode_token(id: &Id, until: UnixTime, source: Source) -> [u8; 28] {
    let mut row = [0; 28];
    row[..16].copy_from_slice(id.bytes());
    row[16..24].copy_from_slice(&until.seconds().to_le_bytes());
    row[24..].copy_from_slice(&source.number().to_le_bytes());
    row
}

/// The token of a row.
pub fn decode_token(window: Window, row: &[u8; 28]) -> Revocation {
    let mut id = [0; 16];
    id.copy_from_slice(&row[..16]);
    let mut source = [0; 4];
    source.copy_from_slice(&row[24..]);
    Revocation::Token {
        id: Id::from_bytes(id),
        window,
        until: UnixTime::from_seconds(until_of(row)),
        source: Source::from_number(u32::from_le_bytes(source)),
    }
}

fn until_of(row: &[u8; 28]) -> u64 {
    let mut until = [0; 8];
    until.copy_from_slice(&row[16..24]);
    u64::from_le_bytes(until)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_journal_of_before_tokens_were_dated_loads_and_takes_dates() {
        let folder = new_installation();
        let date = |at_ms| Revocation::Date {
            id: Id::from_bytes([7; 16]),
            kind: DateKind::Seen,
            at_ms,
            until: UnixTime::from_seconds(90),
        };
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([cutoff(5, 60)].iter()).unwrap();
        let as_before = |transaction: &WriteTransaction| {
            transaction.delete_table(DATES)?;
            Ok(())
        };
        journal.commit(as_before).unwrap();
        drop(journal);
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([date(9), date(5), date(7)].iter()).unwrap();
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        let mut rows = Vec::new();
        journal.replay(|row| rows.push(row)).unwrap();
        assert_eq!(rows, [cutoff(5, 60), date(5)]);
    }

    #[test]
    fn a_journal_of_the_format_before_is_brought_up_to_date() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write([token(1), token(2)].iter()).unwrap();
        let as_before = |transaction: &WriteTransaction| {
            transaction.delete_table(VECTOR)?;
            transaction.delete_table(NODES)?;
            let mut meta = transaction.open_table(META)?;
            for key in ["origin", "origin_2", "complete", "clock"] {
                meta.remove(key)?;
            }
            meta.insert("format", 1)?;
            Ok(())
        };
        journal.commit(as_before).unwrap();
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        let mut rows = 0;
        journal.replay(|_| rows += 1).unwrap();
        assert_eq!(rows, 2);
        assert!(journal.notes().is_complete);
        let origin = journal.notes().origin;
        assert_ne!(origin, Origin::from_bytes([0; 16]));
        drop(journal);
        assert_eq!(Journal::open(folder.path()).unwrap().notes().origin, origin);
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
        assert_eq!(journal.notes().bus, None);
        let progress = Progress {
            bus: Some((1_790_000_000_123, 4)),
            ..Progress::default()
        };
        let now = UnixTime::EPOCH;
        journal
            .write_with([token(1)].iter(), &progress, now)
            .unwrap();
        journal.write([token(2)].iter()).unwrap();
        assert_eq!(journal.notes().bus, progress.bus);
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.notes().bus, progress.bus);
    }

    #[test]
    fn an_origin_that_no_node_introduced_is_not_counted_after_a_restart_attacks_a13() {
        let folder = new_installation();
        let mut journal = Journal::open(folder.path()).unwrap();
        let own = journal.notes().origin;
        let [named, gone, nameless] = [1, 2, 3].map(|number| Origin::from_bytes([number; 16]));
        let progress = Progress {
            reached: vec![(own, 1), (named, 2), (gone, 3), (nameless, 4)],
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
            assert_eq!(journal.notes().vector, Vector::from([(own, 1), (named, 2)]));
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
