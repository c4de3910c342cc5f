//! The revocations on disk.

mod file;
mod watermark;

pub use file::{Contents, Journal, JournalError, Notes, Progress, decode_token, encode_token};
