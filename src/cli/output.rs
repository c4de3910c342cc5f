//! What commands print. A stream that is closed is no reason to fail.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard error, which may be closed: `eprintln!` would panic then.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}"); // there is no other place to report it
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
