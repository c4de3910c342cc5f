//! What is wrong with a configuration, where it is written, and how to put it right.

mod redaction;
mod report;
mod spot;

pub(super) use redaction::without_secrets as lines_without_secrets;
pub use report::{Fault, FaultView, Faults, Severity};
pub use spot::{SourceSpot, SourceText};
