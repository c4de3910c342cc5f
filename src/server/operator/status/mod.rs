//! Everything about a running process in one document, for `doorward status`, `top`, `keys` and the dashboard.

mod document;
mod samples;

pub(crate) use document::StatusSources;
