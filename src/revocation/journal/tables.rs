//! What the file holds: its tables and their rows.
//!
//! Tokens are keyed by window first, so that new rows are neighbours and an ended window is one range.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::notes::{Notes, Progress};
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Portion, Revocation, Source, Window};
use crate::revocation::replication::Origin;

/// The layout that this version reads and writes. Any other is refused.
pub(super) const FORMAT: u64 = 3;

/// Window and sequence to id, end and source.
pub(super) const TOKENS: TableDefinition<'_, (u32, u64), (&[u8; 16], u64, u32)> =
    TableDefinition::new("tokens");

/// Cutoffs and dates: kind and id to the moment (of a cutoff in seconds, of a date in milliseconds) and the end.
pub(super) const MOMENTS: TableDefinition<'_, (u8, &[u8; 16]), (u64, u64)> =
    TableDefinition::new("moments");

/// The kind of a cutoff; a date has the number of its [`DateKind`].
const CUTOFF: u8 = 0;

/// Origin to the number of its last row before which none is missing.
const VECTOR: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("vector");

/// Origin to the name of the node that introduced itself as it.
const NODES: TableDefinition<'_, &[u8; 16], &str> = TableDefinition::new("nodes");

/// This node's origin.
const ORIGIN: TableDefinition<'_, (), &[u8; 16]> = TableDefinition::new("origin");

/// The last entry of the nodes' shared stream that was read.
const STREAM: TableDefinition<'_, (), (u64, u64)> = TableDefinition::new("stream");

/// `format`, `sequence`, `complete`, `clock` and `dropped`.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Makes every table of a new journal.
pub(super) fn create_all(
    transaction: &WriteTransaction,
    origin: &Origin,
) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert("format", FORMAT)?;
    put_rows(transaction, std::iter::empty(), 0)?;
    let progress = Progress {
        origin: Some(*origin),
        ..Progress::default()
    };
    put_progress(transaction, &progress)
}

/// Writes rows; the number of the last one, if that of the one before them is `sequence`.
pub(super) fn put_rows<'a>(
    transaction: &WriteTransaction,
    revocations: impl Iterator<Item = &'a Revocation>,
    mut sequence: u64,
) -> Result<u64, redb::Error> {
    let mut tokens = transaction.open_table(TOKENS)?;
    let mut moments = transaction.open_table(MOMENTS)?;
    for revocation in revocations {
        sequence += 1;
        match revocation {
            Revocation::Token {
                id,
                window,
                until,
                source,
            } => {
                let row = (id.bytes(), until.seconds(), source.number());
                tokens.insert((window.number(), sequence), row)?;
            }
            Revocation::Cutoff {
                id,
                not_before,
                until,
            } => {
                let row = (not_before.seconds(), until.seconds());
                merge(&mut moments, (CUTOFF, id.bytes()), row, u64::max)?;
            }
            Revocation::Date {
                id,
                kind,
                at_ms,
                until,
            } => {
                let row = (*at_ms, until.seconds());
                let choice = if kind.is_earliest() {
                    u64::min
                } else {
                    u64::max
                };
                merge(&mut moments, (*kind as u8, id.bytes()), row, choice)?;
            }
        }
    }
    Ok(sequence)
}

/// Writes the moment that `choice` takes of the known one and the new one, kept until the later end.
fn merge(
    moments: &mut redb::Table<'_, (u8, &'static [u8; 16]), (u64, u64)>,
    key: (u8, &[u8; 16]),
    (moment, until): (u64, u64),
    choice: fn(u64, u64) -> u64,
) -> Result<(), redb::Error> {
    let known = moments.get(key)?.map(|row| row.value());
    let (known_moment, known_until) = known.unwrap_or((moment, until));
    moments.insert(key, (choice(known_moment, moment), known_until.max(until)))?;
    Ok(())
}

/// Writes what is noted beside them.
pub(super) fn put_progress(
    transaction: &WriteTransaction,
    progress: &Progress,
) -> Result<(), redb::Error> {
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
    if progress.is_complete {
        transaction.open_table(META)?.insert("complete", 1)?;
    }
    if let Some(origin) = &progress.origin {
        transaction.open_table(ORIGIN)?.insert((), origin.bytes())?;
    }
    let mut stream = transaction.open_table(STREAM)?;
    if let Some(place) = progress.stream {
        stream.insert((), place)?;
    }
    Ok(())
}

/// The numbers of the table of this name.
pub(super) fn read_meta(
    transaction: &ReadTransaction,
) -> Result<HashMap<String, u64>, redb::Error> {
    let mut meta = HashMap::new();
    for row in transaction.open_table(META)?.iter()? {
        let (key, value) = row?;
        meta.insert(key.value().to_owned(), value.value());
    }
    Ok(meta)
}

/// The number of the last row, and what is noted beside the rows.
pub(super) fn read_notes(
    transaction: &ReadTransaction,
    meta: &HashMap<String, u64>,
) -> Result<(u64, Notes), redb::Error> {
    let number = |key: &str| meta.get(key).copied().unwrap_or_default();
    let origin = transaction.open_table(ORIGIN)?.get(())?;
    let origin = origin.map(|row| Origin::from_bytes(*row.value()));
    let mut notes = Notes {
        origin: origin.ok_or_else(|| redb::Error::Corrupted("it has no origin".to_owned()))?,
        vector: BTreeMap::new(),
        nodes: BTreeMap::new(),
        is_complete: number("complete") == 1,
        clock: UnixTime::from_seconds(number("clock")),
        dropped: UnixTime::from_seconds(number("dropped")),
        stream: transaction
            .open_table(STREAM)?
            .get(())?
            .map(|row| row.value()),
    };
    for row in transaction.open_table(VECTOR)?.iter()? {
        let (origin, reached) = row?;
        let origin = Origin::from_bytes(*origin.value());
        notes.vector.insert(origin, reached.value());
    }
    for row in transaction.open_table(NODES)?.iter()? {
        let (origin, node) = row?;
        let origin = Origin::from_bytes(*origin.value());
        notes.nodes.insert(origin, node.value().to_owned());
    }
    Ok((number("sequence"), notes))
}

/// Hands every row to `each`.
pub(super) fn read_rows(
    transaction: &ReadTransaction,
    each: &mut impl FnMut(Revocation),
) -> Result<(), redb::Error> {
    let mut each = |revocation| {
        each(revocation);
        true
    };
    read_tokens(transaction, &mut each)?;
    read_moments(transaction, CUTOFF..=u8::MAX, &mut each)
}

/// Hands the rows of a portion to `each` until it returns false.
pub(super) fn read_portion(
    transaction: &ReadTransaction,
    portion: Portion,
    each: &mut impl FnMut(Revocation) -> bool,
) -> Result<(), redb::Error> {
    match portion {
        Portion::Tokens => read_tokens(transaction, each),
        Portion::Dates => read_moments(transaction, CUTOFF + 1..=u8::MAX, each),
        Portion::Cutoffs => read_moments(transaction, CUTOFF..=CUTOFF, each),
    }
}

fn read_tokens(
    transaction: &ReadTransaction,
    each: &mut impl FnMut(Revocation) -> bool,
) -> Result<(), redb::Error> {
    for row in transaction.open_table(TOKENS)?.iter()? {
        let (key, value) = row?;
        let ((window, _sequence), (id, until, source)) = (key.value(), value.value());
        let token = Revocation::Token {
            id: Id::from_bytes(*id),
            window: Window::from_number(window),
            until: UnixTime::from_seconds(until),
            source: Source::from_number(source),
        };
        if !each(token) {
            break;
        }
    }
    Ok(())
}

fn read_moments(
    transaction: &ReadTransaction,
    kinds: RangeInclusive<u8>,
    each: &mut impl FnMut(Revocation) -> bool,
) -> Result<(), redb::Error> {
    let (first, last) = (&[0; 16], &[u8::MAX; 16]);
    let range = (*kinds.start(), first)..=(*kinds.end(), last);
    for row in transaction.open_table(MOMENTS)?.range(range)? {
        let (key, value) = row?;
        let ((kind, id), (moment, until)) = (key.value(), value.value());
        let id = Id::from_bytes(*id);
        let until = UnixTime::from_seconds(until);
        let revocation = match (kind, DateKind::from_number(kind)) {
            (CUTOFF, _) => Revocation::Cutoff {
                id,
                not_before: UnixTime::from_seconds(moment),
                until,
            },
            (_, Some(kind)) => Revocation::Date {
                id,
                kind,
                at_ms: moment,
                until,
            },
            (_, None) => {
                let why = format!("it has a row of the unknown kind {kind}");
                return Err(redb::Error::Corrupted(why));
            }
        };
        if !each(revocation) {
            break;
        }
    }
    Ok(())
}

/// Notes what is not there any more, in the transaction that drops it.
pub(super) fn note_dropped(
    transaction: &WriteTransaction,
    now: UnixTime,
) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let before = meta.get("dropped")?.map_or(0, |row| row.value());
    meta.insert("dropped", before.max(now.seconds()))?;
    Ok(())
}
