//! How far the journal was written, noted beside it: a journal that says less has lost something.
//!
//! redb keeps checksums of every page, but not of the byte that says which of its two last transactions counts
//! (seen in 4.4.0): one flipped bit there, after a crash, silently takes the last logouts back. So would a
//! backup that is put in the journal's place, and a journal that somebody deletes.
//!
//! The note is not synchronised. A power cut may leave an older one, never a newer one than the journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The note of one journal.
pub(super) struct Mark {
    file: File,
}

/// The number, little endian, and the first bytes of its digest.
const BYTES: usize = 16;

impl Mark {
    /// The name of the file in the data folder.
    pub(super) const FILE: &'static str = "journal.mark";

    /// Opens the note of a data folder, and reads how far the journal was written: 0, where nothing was noted.
    pub(super) fn open(data_dir: &Path) -> io::Result<(Self, u64)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(data_dir.join(Self::FILE))?;
        let noted = match file.metadata()?.len() {
            0 => 0,
            _ => read(&file)?,
        };
        Ok((Self { file }, noted))
    }

    /// Notes that the journal was written so far. If that fails, less is noticed later and nothing is lost.
    pub(super) fn raise(&self, sequence: u64) {
        if let Err(error) = self.file.write_all_at(&encode(sequence), 0) {
            log::debug!("the journal's mark can't be written: {error}");
        }
    }
}

fn read(file: &File) -> io::Result<u64> {
    let mut bytes = [0; BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    if bytes == [0; BYTES] {
        return Ok(0); // a power cut came before its first bytes
    }
    decode(bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its checksum does not fit"))
}

fn encode(sequence: u64) -> [u8; BYTES] {
    let number = sequence.to_le_bytes();
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&blake3::hash(&number).as_bytes()[..8]);
    bytes
}

fn decode(bytes: [u8; BYTES]) -> Option<u64> {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    let sequence = u64::from_le_bytes(number);
    (encode(sequence) == bytes).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (mark, noted) = Mark::open(folder.path()).unwrap();
        assert_eq!(noted, 0);
        for sequence in [1, 7, u64::MAX] {
            mark.raise(sequence);
            assert_eq!(Mark::open(folder.path()).unwrap().1, sequence);
        }
        for bit in 0..BYTES * 8 {
            let mut bytes = encode(77);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(bytes), None, "bit {bit}");
        }
    }
}
