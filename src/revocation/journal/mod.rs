//! The revocations on disk, the only folder that names the store.

mod error;
mod file;
mod glance;
mod init;
mod look;
mod notes;
mod open;
mod place;
mod store;
mod tables;
mod watermark;

pub use error::JournalError;
pub use file::Journal;
pub use look::Contents;
pub use notes::{Notes, Progress};
