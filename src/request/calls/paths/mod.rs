//! Paths: those of requests, in every reading, and those of rules.

mod base;
mod path;
mod path_pattern;
mod segment;

pub use base::{Base, Folder};
pub use path::{Path, PathStyle};
pub use path_pattern::{Fit, PathPattern};
pub(in crate::request) use segment::{Leniency, SegmentStart, is_blank, is_front_controller};
