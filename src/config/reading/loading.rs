//! What the readers of one configuration share.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::config::fault::{Fault, Faults};

/// One configuration that is being read: the folder that its files are relative to, and the faults found so far.
pub(crate) struct Loading {
    base_dir: PathBuf,
    faults: RefCell<Faults>,
}

impl Loading {
    /// Nothing is read yet; files are relative to this folder.
    pub(crate) fn relative_to(base_dir: &Path) -> Self {
        Self {
            base_dir: base_dir.to_owned(),
            faults: RefCell::default(),
        }
    }

    /// The folder that files are relative to.
    pub(crate) fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Notes a fault.
    pub(crate) fn report(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Every fault that was noted.
    pub(crate) fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }
}
