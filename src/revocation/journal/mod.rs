//! The revocations on disk, the only folder that names the store.

mod error;
mod file;
mod init;
mod inspect;
mod notes;
mod open;
mod place;
mod read_through;
mod snapshot;
mod store;
mod tables;
mod watermark;

pub use error::JournalError;
pub use file::Journal;
pub use inspect::Contents;
pub use notes::{Notes, Progress};
pub(super) use snapshot::JournalSnapshot;
