//! Paths: those of requests, in every reading, and those of rules.

mod base;
mod path;
mod path_pattern;
mod segment;
mod traced_path;

pub use base::{Base, Folder};
pub use path::{Path, PathStyle};
pub use path_pattern::{Fit, PathPattern};
pub(in crate::request) use segment::{Leniency, SegmentStart, is_blank, is_front_controller};
pub(in crate::request) use traced_path::TracedPath;
