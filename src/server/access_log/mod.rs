//! One line for each request: to standard output, a file or the journal of systemd.

mod access_line;
pub(crate) mod field;
mod journald;
pub(crate) mod line;
pub(crate) mod queue;
pub(crate) mod record;
pub(crate) mod settings;
pub(crate) mod sink;
