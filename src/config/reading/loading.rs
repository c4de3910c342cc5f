//! What the readers of one configuration share.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::record::ReadKey;
use crate::config::fault::{Fault, Faults, SourceSpot};

/// A file that a configuration names.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is named; `None`: it is the configuration itself.
    pub spot: Option<SourceSpot>,
    /// Whether no other user may read it.
    pub is_secret: bool,
    /// Whether systemd hands it to the service, whoever owns it.
    pub is_credential: bool,
}

impl NamedFile {
    /// A file that nothing names.
    pub fn unnamed(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            spot: None,
            is_secret: false,
            is_credential: false,
        }
    }
}

/// One configuration that is being read: the folder that its files are relative to, the faults found so far, and the files
/// that it names.
pub(crate) struct Loading {
    base_dir: PathBuf,
    faults: RefCell<Faults>,
    files: RefCell<Vec<NamedFile>>,
    /// What was read, where that is wanted.
    reads: Option<RefCell<Vec<ReadKey>>>,
}

impl Loading {
    /// Nothing is read yet; files are relative to this folder.
    pub(crate) fn relative_to(base_dir: &Path) -> Self {
        Self {
            base_dir: base_dir.to_owned(),
            faults: RefCell::default(),
            files: RefCell::default(),
            reads: None,
        }
    }

    /// The same, where every key that is read is recorded.
    pub(crate) fn recording(base_dir: &Path) -> Self {
        Self {
            reads: Some(RefCell::default()),
            ..Self::relative_to(base_dir)
        }
    }

    /// Records a key, if that is wanted.
    pub(super) fn note_read(&self, read: impl FnOnce() -> ReadKey) {
        if let Some(reads) = &self.reads {
            let read = read();
            reads.borrow_mut().push(read);
        }
    }

    /// Every key that was recorded.
    pub(crate) fn take_reads(&self) -> Vec<ReadKey> {
        self.reads.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// The folder that files are relative to.
    pub(crate) fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Notes a fault.
    pub(crate) fn report(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Notes a file that is named.
    pub(crate) fn note_file(&self, file: NamedFile) {
        self.files.borrow_mut().push(file);
    }

    /// Notes that a file is a secret.
    pub(super) fn note_secret(&self, path: &Path) {
        let mut files = self.files.borrow_mut();
        for file in files.iter_mut().filter(|file| file.path == path) {
            file.is_secret = true;
        }
    }

    /// Every file that was noted.
    pub(crate) fn take_files(&self) -> Vec<NamedFile> {
        self.files.take()
    }

    /// Every fault that was noted.
    pub(crate) fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }
}
