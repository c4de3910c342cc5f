//! The journal: a row says what was written, and a damaged file is found damaged or says all that was written to it.
//!
//! An input is tokens, each as its window, id, end and source (4, 16, 8 and 4 bytes). One input in 64 is
//! taken for a list of damages instead, for opening a file takes a thousand times as long.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use doorward::clock::UnixTime;
use doorward::revocation::{Id, Identity, Journal, Revocation, Row, Set, Source, Window};

const TOKEN_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;

/// What a row is read as is what is written for it; and a damaged file is not believed.
pub fn journal_record(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, damages)) if first % 64 == 63 => a_damaged_file_is_not_believed(damages),
        Some((_, rows)) => a_row_says_what_was_written(rows),
        None => {}
    }
}

fn a_row_says_what_was_written(bytes: &[u8]) {
    let set = Set::with_grace(Duration::from_hours(1));
    let now = UnixTime::from_seconds(1_790_000_000);
    for bytes in bytes.chunks_exact(TOKEN_BYTES) {
        let window = Window::from_number(u32::from_le_bytes(bytes[..4].try_into().unwrap()));
        let id = Id::from_bytes(bytes[4..20].try_into().unwrap());
        let seconds = u64::from_le_bytes(bytes[20..28].try_into().unwrap());
        let until = UnixTime::from_seconds(seconds);
        let source = u32::from_le_bytes(bytes[28..].try_into().unwrap());
        let revocation = Revocation::Token {
            id,
            window,
            until,
            source: Source::from_number(source),
        };
        assert_eq!(Row::encode(&revocation).revocation(), Some(revocation));
        let _told = until.to_string();
        set.insert(&revocation, now);
        let identity = Identity {
            id,
            window,
            groups: std::iter::empty().collect(),
            issued_at: None,
            former: Box::default(),
        };
        assert!(
            set.covers(&identity).is_some(),
            "{revocation:?} is not in force"
        );
    }
}

/// A small journal, as a crash and as a clean end leave it, and all that was written to it.
struct Written {
    files: [Vec<u8>; 2],
    /// How far it was written.
    mark: Vec<u8>,
    /// Where pages with something in them begin, in either file.
    pages: Vec<usize>,
    rows: Vec<Revocation>,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(Journal::FILE);
    let written: Vec<_> = (1..=60).map(revocation).collect();
    assert!(Journal::init(folder.path()).unwrap());
    let mut journal = Journal::open(folder.path()).unwrap();
    for some in written.chunks(20) {
        journal.write(some.iter()).unwrap();
    }
    let after_a_crash = fs::read(&file).unwrap();
    let rows = rows_of(&journal);
    drop(journal);
    let after_the_end = fs::read(&file).unwrap();
    assert_eq!(rows.len(), written.len());
    let files = [after_a_crash, after_the_end];
    let mark = fs::read(folder.path().join(Journal::MARK_FILE)).unwrap();
    let is_used = |at: &usize| {
        files
            .iter()
            .any(|file| page_of(file, *at).iter().any(|byte| *byte != 0))
    };
    let pages = (0..files[0].len())
        .step_by(PAGE_BYTES)
        .filter(is_used)
        .collect();
    Written {
        files,
        mark,
        pages,
        rows,
    }
});

fn page_of(file: &[u8], at: usize) -> &[u8] {
    let end = file.len().min(at + PAGE_BYTES);
    file.get(at..end).unwrap_or_default()
}

fn revocation(number: u8) -> Revocation {
    let id = Id::from_bytes([number; 16]);
    let until = UnixTime::from_seconds(u64::from(u32::from_le_bytes([number; 4])));
    if number.is_multiple_of(5) {
        return Revocation::Cutoff {
            id,
            not_before: until,
            until,
        };
    }
    Revocation::Token {
        id,
        window: Window::from_number(u32::from(number % 7)),
        until,
        source: Source::Verified,
    }
}

fn rows_of(journal: &Journal) -> Vec<Revocation> {
    let mut rows = Vec::new();
    journal.replay(|row| rows.push(row)).unwrap();
    rows
}

/// Damages as bytes say them: first which file and whether it is cut; then places (which page, and where in it) and
/// what changes there, where nothing means that the page is lost.
fn a_damaged_file_is_not_believed(damages: &[u8]) {
    let Some(([which, cut], places)) = damages.split_first_chunk() else {
        return;
    };
    let mut file = WRITTEN.files[usize::from(which % 2)].clone();
    for place in places.chunks_exact(4) {
        let page = WRITTEN.pages[usize::from(place[0]) % WRITTEN.pages.len()];
        let at = page + (usize::from(place[1]) << 8 | usize::from(place[2])) % PAGE_BYTES;
        match place[3] {
            0 => file
                .iter_mut()
                .skip(page)
                .take(PAGE_BYTES)
                .for_each(|byte| *byte = 0),
            change => file
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= change),
        }
    }
    if cut % 4 == 3 {
        file.truncate(file.len() * usize::from(*cut) / 256);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(Journal::FILE), &file).unwrap();
    fs::write(folder.path().join(Journal::MARK_FILE), &WRITTEN.mark).unwrap();
    // As a node of several opens it: the mark is a copy here, which alone would be refused whatever the file says.
    let Ok(journal) = Journal::open_syncing(folder.path()) else {
        return;
    };
    let mut rows = Vec::new();
    if journal.replay(|row| rows.push(row)).is_ok() {
        let (said, written) = (rows.len(), WRITTEN.rows.len());
        assert!(
            rows == WRITTEN.rows,
            "a damaged file says {said} rows, and not the {written} that were written"
        );
    }
}
