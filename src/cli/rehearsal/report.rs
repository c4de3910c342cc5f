//! Reports on standard output.

use std::io::{self, Write as _};

use serde_json::Value;

/// Writes a value to standard output. A stream that is closed is no reason to fail.
pub(super) fn print_json(value: &Value) {
    let _ = writeln!(io::stdout().lock(), "{value:#}");
}

/// Writes lines to standard output.
pub(super) fn print_lines<T: AsRef<str>>(lines: &[T]) {
    let mut out = io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{}", line.as_ref());
    }
}
