//! A backup of the revocations: digests and times in a file, never a token.
//!
//! The line `doorward revocations 1`, a line of JSON ([`BackupHeader`]), the rows as nodes exchange them (33 bytes each, the
//! first of which is not zero), and the end: a zero, the number of rows (u64, little endian) and the BLAKE3 digest of
//! everything before it.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use super::entry::Revocation;
use super::replication::Row;

/// The first line of every backup, without the number of its format.
const MAGIC: &str = "doorward revocations ";

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// How long the header may be.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// The first byte of the end, where a row has its kind.
const END: u8 = 0;

/// What a backup says beside its rows.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct BackupHeader {
    /// The version of Doorward that wrote it.
    pub version: String,
    /// The node that wrote it; `None`: it was in no cluster.
    pub node: Option<String>,
    /// When it was written.
    pub at: String,
    /// The installation that it comes from: a name that all nodes of a cluster share.
    pub installation: String,
    /// The token domains of the shops, as digests.
    pub token_domains: Vec<String>,
}

/// Writes a backup, piece by piece.
pub struct BackupWriter {
    hasher: blake3::Hasher,
    rows: u64,
}

impl BackupWriter {
    /// Begins a backup in `out`.
    pub fn begin(header: &BackupHeader, out: &mut Vec<u8>) -> serde_json::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let header = serde_json::to_string(header)?;
        let head = format!("{MAGIC}{FORMAT}\n{header}\n");
        hasher.update(head.as_bytes());
        out.extend_from_slice(head.as_bytes());
        Ok(Self { hasher, rows: 0 })
    }

    /// Adds a row.
    pub fn push(&mut self, revocation: &Revocation, out: &mut Vec<u8>) {
        let row = Row::encode(revocation);
        self.hasher.update(row.bytes());
        self.rows += 1;
        out.extend_from_slice(row.bytes());
    }

    /// Ends the backup.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let mut end = vec![END];
        end.extend_from_slice(&self.rows.to_le_bytes());
        self.hasher.update(&end);
        out.extend_from_slice(&end);
        out.extend_from_slice(self.hasher.finalize().as_bytes());
    }
}

/// Why a file is no backup that can be imported.
#[derive(Debug)]
pub enum UnfitBackup {
    /// It can't be read.
    Unreadable(io::Error),
    /// It is something else.
    Foreign,
    /// It is a backup in a format that this version does not know.
    Format(String),
    /// It ends too early.
    Truncated,
    /// Its digest or its count does not fit, or it goes on after its end.
    Corrupt,
    /// It has a row that this version does not know.
    UnknownRow(u64),
    /// The reader of its rows failed.
    Stopped(String),
}

impl fmt::Display for UnfitBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "it can't be read: {error}"),
            Self::Foreign => f.write_str("it is no export of `doorward revocations export`"),
            Self::Format(found) => write!(
                f,
                "it has the format {found:?}, and this version of Doorward reads format {FORMAT}"
            ),
            Self::Truncated => f.write_str("it is truncated: its end is missing"),
            Self::Corrupt => f.write_str("it is corrupt: its checksum does not fit"),
            Self::UnknownRow(number) => write!(
                f,
                "its row {number} is of a kind that this version of Doorward does not know"
            ),
            Self::Stopped(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for UnfitBackup {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated;
        }
        Self::Unreadable(error)
    }
}

/// Reads a backup to its end, and hands its rows to `each`. Only a backup that was read to its end is sound.
///
/// # Errors
///
/// The file is no sound backup, or `each` failed.
pub fn read_backup(
    mut input: impl BufRead,
    mut each: impl FnMut(Revocation) -> Result<(), String>,
) -> Result<(BackupHeader, u64), UnfitBackup> {
    let mut hasher = blake3::Hasher::new();
    let header = read_header(&mut input, &mut hasher)?;
    let mut rows = 0_u64;
    let mut row = [0; Row::BYTES];
    loop {
        input.read_exact(&mut row[..1])?;
        if row[0] == END {
            break;
        }
        input.read_exact(&mut row[1..])?;
        hasher.update(&row);
        rows += 1;
        let revocation = Row::from_bytes(row).revocation();
        let revocation = revocation.ok_or(UnfitBackup::UnknownRow(rows))?;
        each(revocation).map_err(UnfitBackup::Stopped)?;
    }
    let (mut count, mut digest) = ([0; 8], [0; 32]);
    input.read_exact(&mut count)?;
    input.read_exact(&mut digest)?;
    hasher.update(&[END]);
    hasher.update(&count);
    let is_whole = u64::from_le_bytes(count) == rows && hasher.finalize() == digest;
    if !is_whole || input.read(&mut row)? > 0 {
        return Err(UnfitBackup::Corrupt);
    }
    Ok((header, rows))
}

fn read_header(
    input: &mut impl BufRead,
    hasher: &mut blake3::Hasher,
) -> Result<BackupHeader, UnfitBackup> {
    let mut line = Vec::new();
    input.take(64).read_until(b'\n', &mut line)?;
    hasher.update(&line);
    let first = str::from_utf8(&line).unwrap_or_default();
    let Some(format) = first.strip_prefix(MAGIC) else {
        let is_begun = !line.is_empty() && MAGIC.as_bytes().starts_with(&line);
        return Err(if is_begun {
            UnfitBackup::Truncated
        } else {
            UnfitBackup::Foreign
        });
    };
    if !first.ends_with('\n') {
        return Err(UnfitBackup::Truncated);
    }
    if format.trim_end() != FORMAT.to_string() {
        return Err(UnfitBackup::Format(format.trim_end().to_owned()));
    }
    line.clear();
    input.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
    hasher.update(&line);
    if line.last() != Some(&b'\n') {
        return Err(UnfitBackup::Truncated);
    }
    serde_json::from_slice(&line).map_err(|_| UnfitBackup::Corrupt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::UnixTime;
    use crate::revocation::entry::{DateKind, Id, Source, Window};

    fn backup(rows: &[Revocation]) -> Vec<u8> {
        let header = BackupHeader {
            version: "1".to_owned(),
            node: None,
            at: String::new(),
            installation: "i".to_owned(),
            token_domains: Vec::new(),
        };
        let mut out = Vec::new();
        let mut writer = BackupWriter::begin(&header, &mut out).unwrap();
        for row in rows {
            writer.push(row, &mut out);
        }
        writer.end(&mut out);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Revocation>, UnfitBackup> {
        let mut rows = Vec::new();
        read_backup(bytes, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    fn row((kind, id, first, until): (u8, [u8; 16], u64, u64)) -> Revocation {
        let (id, until) = (Id::from_bytes(id), UnixTime::from_seconds(until));
        match kind {
            0 => Revocation::Cutoff {
                id,
                not_before: UnixTime::from_seconds(first),
                until,
            },
            1 => Revocation::Date {
                id,
                kind: DateKind::Ended,
                at_ms: first,
                until,
            },
            _ => Revocation::Token {
                id,
                window: Window::UNDATED,
                until,
                source: Source::Verified,
            },
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_is(
            rows in proptest::collection::vec((0_u8..3, any::<[u8; 16]>(), any::<u64>(), any::<u64>()), 0..20),
            at: prop::sample::Index,
            flip in 1_u8..=255,
        ) {
            let rows: Vec<_> = rows.into_iter().map(row).collect();
            let bytes = backup(&rows);
            prop_assert_eq!(&read(&bytes).unwrap(), &rows);
            let cut = at.index(bytes.len());
            prop_assert!(read(&bytes[..cut]).is_err(), "cut off at {}", cut);
            let mut other = bytes.clone();
            other[cut] ^= flip;
            prop_assert!(read(&other).is_err(), "changed at {}", cut);
            let longer = [bytes.as_slice(), b"\0"].concat();
            prop_assert!(read(&longer).is_err());
        }
    }

    #[test]
    fn what_is_no_backup_says_so() {
        let why = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(why(b"PK\x03\x04").contains("no export"));
        assert!(why(b"").contains("no export"));
        assert!(why(b"doorward revoc").contains("truncated"));
        assert!(why(b"doorward revocations 9\n{}\n").contains("format \"9\""));
    }
}
