//! Typed reading of TOML, which finds every fault of a file at once.

pub(crate) mod byte_size;
mod document;
pub(crate) mod duration;
pub(crate) mod file;
mod lines;
mod loading;
pub(crate) mod named_path;
pub(crate) mod pattern;
pub(crate) mod record;
mod table;
mod text;

pub(crate) use document::{TomlDocument, report_conflicts};
pub use lines::SourceLines;
pub(crate) use loading::Loading;
pub use loading::NamedFile;
pub(crate) use table::{TextOrTable, TomlTable};
pub(crate) use text::TomlText;

#[cfg(test)]
mod tests;
