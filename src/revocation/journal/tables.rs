//! What the file holds: its tables, and the bytes of their rows.
//!
//! There are six. `tokens`: (window, sequence) to id (16 bytes), until (u64), source (u32),
//! all little endian. `cutoffs`: id to (not before, until). `dates`: (kind, id) to (milliseconds, until).
//! `vector`: origin to the number of its last row before which none is missing. `nodes`: origin to the name of the node that
//! introduced itself as it. `meta`: `format`, `sequence`, `origin` (in two halves), `complete`,
//! `clock`, `dropped` and `bus` (in two halves).
//! Rows are keyed by window first, so that new rows are neighbours and an ended window is one range.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::notes::{Notes, Progress};
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Revocation, Source, Window};
use crate::revocation::replication::{Origin, VersionVector};

/// The layout that this version reads and writes.
pub(super) const FORMAT: u64 = 2;

pub(super) const TOKENS: TableDefinition<'_, (u32, u64), &[u8; 28]> =
    TableDefinition::new("tokens");
pub(super) const CUTOFFS: TableDefinition<'_, &[u8; 16], (u64, u64)> =
    TableDefinition::new("cutoffs");
pub(super) const DATES: TableDefinition<'_, (u8, &[u8; 16]), (u64, u64)> =
    TableDefinition::new("dates");
pub(super) const VECTOR: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("vector");
pub(super) const NODES: TableDefinition<'_, &[u8; 16], &str> = TableDefinition::new("nodes");
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// Writes rows; the number of the last one, if that of the one before them is `sequence`.
pub(super) fn put_rows<'a>(
    transaction: &WriteTransaction,
    revocations: impl Iterator<Item = &'a Revocation>,
    mut sequence: u64,
) -> Result<u64, redb::Error> {
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
    Ok(sequence)
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
    let mut meta = transaction.open_table(META)?;
    if progress.is_complete {
        meta.insert("complete", 1)?;
    }
    if let Some(origin) = &progress.origin {
        note_origin(&mut meta, origin)?;
    }
    if let Some((time, number)) = progress.stream {
        let [time_key, number_key] = STREAM_KEYS;
        meta.insert(time_key, time)?;
        meta.insert(number_key, number)?;
    }
    Ok(())
}

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
pub(super) fn read_notes(transaction: &ReadTransaction) -> Result<(u64, Notes), redb::Error> {
    let meta = read_meta(transaction)?;
    let number = |key: &str| meta.get(key).copied().unwrap_or_default();
    let notes = Notes {
        origin: origin_of(ORIGIN_KEYS.map(number)),
        vector: read_vector(transaction)?,
        nodes: read_nodes(transaction)?,
        is_complete: number("complete") == 1,
        clock: UnixTime::from_seconds(number("clock")),
        dropped: UnixTime::from_seconds(number("dropped")),
        stream: meta
            .contains_key(STREAM_KEYS[0])
            .then(|| STREAM_KEYS.map(number).into()),
    };
    Ok((number("sequence"), notes))
}

fn read_vector(transaction: &ReadTransaction) -> Result<VersionVector, redb::Error> {
    let mut vector = VersionVector::new();
    for row in transaction.open_table(VECTOR)?.iter()? {
        let (origin, reached) = row?;
        vector.insert(Origin::from_bytes(*origin.value()), reached.value());
    }
    Ok(vector)
}

/// Journals of earlier versions have no such table.
fn read_nodes(transaction: &ReadTransaction) -> Result<BTreeMap<Origin, String>, redb::Error> {
    let mut nodes = BTreeMap::new();
    let table = match transaction.open_table(NODES) {
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

pub(super) fn read_rows(
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
pub(super) fn note_dropped(
    transaction: &WriteTransaction,
    now: UnixTime,
) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let before = meta.get("dropped")?.map_or(0, |row| row.value());
    meta.insert("dropped", before.max(now.seconds()))?;
    Ok(())
}

/// The keys of the two numbers of the last entry of the nodes' shared stream.
pub(super) const STREAM_KEYS: [&str; 2] = ["bus", "bus_2"];

/// The keys of the two halves of this node's origin.
pub(super) const ORIGIN_KEYS: [&str; 2] = ["origin", "origin_2"];

pub(super) fn note_origin(
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

pub(super) fn origin_of([first, second]: [u64; 2]) -> Origin {
    Origin::from_bytes((u128::from(first) | (u128::from(second) << 64)).to_le_bytes())
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

pub(super) fn until_of(row: &[u8; 28]) -> u64 {
    let mut until = [0; 8];
    until.copy_from_slice(&row[16..24]);
    u64::from_le_bytes(until)
}
