//! A line on standard error for what takes longer than a second.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::clock;

/// After this time, and then each time it is over, a line is written.
const EVERY: Duration = Duration::from_secs(1);

/// Tells how far a command is, once a second. On a terminal the line is written over the one before.
pub(in crate::cli) struct ProgressLine {
    what: &'static str,
    told_at: Instant,
    has_told: bool,
}

impl ProgressLine {
    /// Of what is done now, such as `exporting`.
    pub(in crate::cli) fn of(what: &'static str) -> Self {
        Self {
            what,
            told_at: clock::instant(),
            has_told: false,
        }
    }

    /// So far it is. `far` is asked only if there is something to tell.
    pub(in crate::cli) fn note(&mut self, far: impl FnOnce() -> String) {
        let now = clock::instant();
        if now.duration_since(self.told_at) < EVERY {
            return;
        }
        self.told_at = now;
        let mut error = io::stderr();
        let (begin, end) = ends_of_line();
        let _ = write!(error, "{begin}{}: {}{end}", self.what, far()); // there is no other place
        self.has_told = true;
    }
}

/// What stands around a line.
fn ends_of_line() -> (&'static str, &'static str) {
    if io::stderr().is_terminal() {
        ("\r\x1b[K", "")
    } else {
        ("", "\n")
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.has_told && io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
