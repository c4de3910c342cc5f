//! The revocations on disk, the only folder that names the store.

mod error;
mod file;
mod glance;
mod notes;
mod store;
mod tables;
mod watermark;

pub use error::JournalError;
pub use file::{Contents, Journal};
pub use notes::{Notes, Progress};
