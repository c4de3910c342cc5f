//! The watermark beside the journal: how far it was written. A journal that says less has lost something.
//!
//! redb keeps checksums of every page, but not of the byte that says which of its two last transactions counts
//! (seen in 4.4.0): one flipped bit there, after a crash, silently takes the last logouts back. So would a
//! backup that is put in the journal's place, and a journal that is deleted.
//!
//! It also says which file it is itself: its inode and when that was made. Every start and every clean end replaces
//! it by a new file. A watermark that names another file was copied here, together with the journal perhaps; it proves
//! nothing of what was written since.
//!
//! The number is not synchronised. A power cut may leave an older one, never a newer one than the journal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use tempfile::NamedTempFile;

/// The watermark of one journal, open for writing.
pub(super) struct Watermark {
    file: File,
}

/// What a watermark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WatermarkRecord {
    /// How far the journal was written: 0 where there is no watermark.
    pub(super) sequence: u64,
    /// Where it comes from.
    pub(super) provenance: Provenance,
}

/// Where a watermark comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provenance {
    /// It is the file that was written last.
    Original,
    /// It was copied here, or put back.
    Copy,
    /// There is none.
    Missing,
}

/// The number, little endian, and the first bytes of its digest.
const NUMBER_BYTES: usize = 16;

/// Inode and time of its making, little endian, and the first bytes of their digest.
const FILE_BYTES: usize = 24;

impl Watermark {
    /// The name of the file in the data folder.
    pub(super) const FILE: &'static str = "journal.mark";

    /// What the watermark of a data folder says. Nothing is changed there.
    pub(super) fn read(data_dir: &Path) -> io::Result<WatermarkRecord> {
        let nothing = WatermarkRecord {
            sequence: 0,
            provenance: Provenance::Missing,
        };
        let file = match File::open(data_dir.join(Self::FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        (&file)
            .take((NUMBER_BYTES + FILE_BYTES) as u64)
            .read_to_end(&mut bytes)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(nothing); // a power cut came before its first bytes
        }
        let (number, rest) = bytes
            .split_first_chunk()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let identity = rest.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        let sequence = decode_number(number).ok_or_else(unfit)?;
        let identity = FileIdentity::decode(identity).ok_or_else(unfit)?;
        let provenance = if identity.is(FileIdentity::of_file(&file)?) {
            Provenance::Original
        } else {
            Provenance::Copy
        };
        Ok(WatermarkRecord {
            sequence,
            provenance,
        })
    }

    /// Replaces the watermark by a new file. It is on disk when this returns; until then the old one is.
    pub(super) fn renew(data_dir: &Path, sequence: u64) -> io::Result<Self> {
        let mut aside = NamedTempFile::with_prefix_in(".journal.mark-", data_dir)?;
        let identity = FileIdentity::of_file(aside.as_file())?;
        aside.write_all(&encode_number(sequence))?;
        aside.write_all(&identity.encode())?;
        aside.as_file().sync_all()?;
        let file = aside.persist(data_dir.join(Self::FILE))?;
        Ok(Self { file })
    }

    /// Notes that the journal was written so far. If that fails, less is noticed later and nothing is lost.
    pub(super) fn raise(&self, sequence: u64) {
        if let Err(error) = self.file.write_all_at(&encode_number(sequence), 0) {
            log::debug!("the journal's mark can't be written: {error}");
        }
    }
}

fn unfit() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its checksum does not fit")
}

fn encode_number(sequence: u64) -> [u8; NUMBER_BYTES] {
    let number = sequence.to_le_bytes();
    let mut bytes = [0; NUMBER_BYTES];
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&blake3::hash(&number).as_bytes()[..8]);
    bytes
}

fn decode_number(bytes: &[u8; NUMBER_BYTES]) -> Option<u64> {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    let sequence = u64::from_le_bytes(number);
    (encode_number(sequence) == *bytes).then_some(sequence)
}

/// Which file of its file system a file is.
#[derive(Clone, Copy)]
struct FileIdentity {
    inode: u64,
    /// When it was made, in nanoseconds since the epoch: inodes are given away again. 0: the file system does
    /// not say.
    made_ns: u64,
}

impl FileIdentity {
    fn of_file(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let made = metadata.created().ok();
        let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        let made_ns = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Ok(Self {
            inode: metadata.ino(),
            made_ns: made_ns.unwrap_or_default(),
        })
    }

    fn is(self, other: Self) -> bool {
        let says_both = self.made_ns != 0 && other.made_ns != 0;
        self.inode == other.inode && (!says_both || self.made_ns == other.made_ns)
    }

    fn encode(self) -> [u8; FILE_BYTES] {
        let mut bytes = [0; FILE_BYTES];
        bytes[..8].copy_from_slice(&self.inode.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.made_ns.to_le_bytes());
        let digest = blake3::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&digest.as_bytes()[..8]);
        bytes
    }

    fn decode(bytes: &[u8; FILE_BYTES]) -> Option<Self> {
        let number = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[from..from + 8]);
            u64::from_le_bytes(number)
        };
        let identity = Self {
            inode: number(0),
            made_ns: number(8),
        };
        (identity.encode() == *bytes).then_some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn record(sequence: u64, provenance: Provenance) -> WatermarkRecord {
        WatermarkRecord {
            sequence,
            provenance,
        }
    }

    #[test]
    fn a_watermark_is_read_back_and_a_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = record(0, Provenance::Missing);
        assert_eq!(Watermark::read(folder.path()).unwrap(), nothing);
        let watermark = Watermark::renew(folder.path(), 0).unwrap();
        for sequence in [1, 7, u64::MAX] {
            watermark.raise(sequence);
            let original = record(sequence, Provenance::Original);
            assert_eq!(Watermark::read(folder.path()).unwrap(), original);
        }
        let path = folder.path().join(Watermark::FILE);
        let intact = fs::read(&path).unwrap();
        for bit in 0..intact.len() * 8 {
            let mut bytes = intact.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            assert!(Watermark::read(folder.path()).is_err(), "bit {bit}");
        }
        for length in 1..intact.len() {
            fs::write(&path, &intact[..length]).unwrap();
            let error = Watermark::read(folder.path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_watermark_that_was_copied_or_put_back_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Watermark::FILE);
        drop(Watermark::renew(folder.path(), 3).unwrap());
        let older = fs::read(&path).unwrap();
        drop(Watermark::renew(folder.path(), 5).unwrap());
        let newer = fs::read(&path).unwrap();
        let copied = |sequence| record(sequence, Provenance::Copy);
        fs::write(&path, &older).unwrap(); // into the same file
        assert_eq!(Watermark::read(folder.path()).unwrap(), copied(3));
        fs::write(&path, &newer).unwrap(); // what was there: nothing was taken back
        let original = record(5, Provenance::Original);
        assert_eq!(Watermark::read(folder.path()).unwrap(), original);
        fs::write(folder.path().join("copy"), &newer).unwrap();
        fs::rename(folder.path().join("copy"), &path).unwrap();
        assert_eq!(Watermark::read(folder.path()).unwrap(), copied(5));
    }

    #[test]
    fn a_file_system_that_does_not_say_when_a_file_was_made_is_no_copy() {
        let (silent, said) = (0, 7);
        let file = |inode, made_ns| FileIdentity { inode, made_ns };
        assert!(file(1, silent).is(file(1, said)) && file(1, said).is(file(1, silent)));
        assert!(!file(1, silent).is(file(2, said)) && !file(1, said).is(file(1, 8)));
    }
}
