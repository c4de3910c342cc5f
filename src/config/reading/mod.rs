//! Typed reading of TOML: tables, texts, durations, patterns, files.

pub(crate) mod duration;
pub(crate) mod file;
pub(crate) mod pattern;
mod table;

pub(crate) use table::{Document, Table, Text, TextOrTable};
