//! The last lines of the log, for `doorward support-bundle`. They hold no credential, as no line of the log does.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// How many lines are kept.
const LINES: usize = 500;

/// How much of a line is kept.
const LINE_BYTES_MAX: usize = 2_048;

/// The process has one log, and whoever logs can't be handed anything.
static TAIL: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// A line was logged.
pub fn note_log_line(line: &[u8]) {
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let line = String::from_utf8_lossy(line).trim_end().to_owned();
    let mut tail = TAIL.lock();
    if tail.len() >= LINES {
        tail.pop_front();
    }
    tail.push_back(line);
}

/// The last lines, the oldest first.
pub(crate) fn last_lines() -> Vec<String> {
    TAIL.lock().iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_none_is_long() {
        for number in 0..LINES + 3 {
            note_log_line(format!("{number}\n").as_bytes());
        }
        note_log_line(&[b'x'; 3 * LINE_BYTES_MAX]);
        let lines = last_lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "4");
        assert_eq!(lines[LINES - 1].len(), LINE_BYTES_MAX);
    }
}
