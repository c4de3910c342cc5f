//! What is wrong with a configuration, where it is written, and how to put it right.

mod report;

pub use report::{Fault, Faults, Severity, Source, Spot};
