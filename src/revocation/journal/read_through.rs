//! A look at a journal that changes nothing in its file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::error::{JournalError, corrupt, refused};
use super::store::CACHE_BYTES;

/// Opens a journal for a look, unless a process has it open. The lock is not kept, so that one can be started
/// meanwhile.
pub(super) fn open_read_through(path: &Path) -> Result<Database, JournalError> {
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
