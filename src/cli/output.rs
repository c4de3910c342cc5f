//! What commands print. A stream that is closed is no reason to fail.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::server;

/// Writes an error to standard error, which may be closed: `eprintln!` would panic then.
pub(super) fn complain(text: impl Display) {
    write_error("<3>", &text.to_string());
}

/// The same for a warning.
pub(super) fn warn(text: impl Display) {
    write_error("<4>", &text.to_string());
}

/// Where the journal of systemd reads it, each line begins with its priority (sd-daemon(3)).
fn write_error(priority: &str, text: &str) {
    let priority = if server::is_journal(io::stderr()) {
        priority
    } else {
        ""
    };
    for line in text.lines() {
        let _ = writeln!(io::stderr(), "{priority}{line}"); // there is no other place to report it
    }
}

/// Writes this to standard output, as it is.
pub(super) fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Makes a panic report its place and nothing else: its message may hold a part of a request.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        complain(format_args!("panicked at {}", place.unwrap_or_default()));
    }));
}
