//! A tar archive in the format of POSIX (ustar), compressed with gzip.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The length of a block.
const BLOCK: usize = 512;

/// An archive that is being written.
pub(super) struct Tarball<W: Write> {
    out: GzEncoder<W>,
    /// When its files were made, in seconds since the epoch.
    made_s: u64,
}

impl<W: Write> Tarball<W> {
    /// An empty archive.
    pub(super) fn into(out: W, made_s: u64) -> Self {
        let out = GzEncoder::new(out, Compression::default());
        Self { out, made_s }
    }

    /// Adds a file. Its name has at most 99 bytes.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        if name.len() > 99 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        put(0, name);
        put(100, "0000600\0"); // mode
        put(108, "0000000\0"); // user
        put(116, "0000000\0"); // group
        put(124, &format!("{:011o}\0", content.len()));
        put(136, &format!("{:011o}\0", self.made_s));
        put(148, "        "); // the checksum counts as spaces
        put(156, "0"); // an ordinary file
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(content)?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.out.write_all(&[0; BLOCK][..rest])
    }

    /// Ends the archive.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.finish()
    }
}
