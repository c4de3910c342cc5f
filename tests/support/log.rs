//! What a running Doorward has logged so far.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::patience::PATIENCE;

/// The lines of one process, growing as it writes them.
#[derive(Clone, Default)]
pub struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    page: Mutex<Page>,
    written: Condvar,
    /// Whoever has it keeps the next line from being read.
    gate: Mutex<()>,
}

/// While it lives, nothing more is read; the process has to wait once the pipe is full.
pub struct Hold<'l> {
    _gate: MutexGuard<'l, ()>,
}

#[derive(Default)]
struct Page {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Follows a process's stderr until the process closes it.
    pub fn follow(stderr: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let written = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                drop(written.hold());
                let line = String::from_utf8_lossy(&line).into_owned();
                written.write(|page| page.lines.push(line));
            }
            written.write(|page| page.ended = true);
        });
        log
    }

    pub fn lines(&self) -> Vec<String> {
        self.read().lines.clone()
    }

    /// Reads nothing more for a while.
    pub fn hold(&self) -> Hold<'_> {
        let gate = self.0.gate.lock();
        Hold {
            _gate: gate.unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Waits until a line says this word, on its own. False when the process ends without saying it.
    #[track_caller]
    pub fn says(&self, word: &str) -> bool {
        let found = self.wait(|page| page.ended || said(&page.lines, word).next().is_some());
        assert!(
            found,
            "nobody said {word:?} within {PATIENCE:?}:\n{}",
            self.lines().join("\n")
        );
        said(&self.lines(), word).next().is_some()
    }

    /// Waits for the process to close its stderr, which it does by ending.
    #[track_caller]
    pub fn ends(&self) {
        assert!(
            self.wait(|page| page.ended),
            "still running after {PATIENCE:?}:\n{}",
            self.lines().join("\n")
        );
    }

    /// The addresses on which this service said it is listening, in order.
    pub fn addresses_of(&self, service: &str) -> Vec<SocketAddr> {
        let lines = self.lines();
        let of_service =
            said(&lines, "listening").filter(|line| value(line, "service") == Some(service));
        of_service
            .filter_map(|line| value(line, "address")?.parse().ok())
            .collect()
    }

    fn wait(&self, so: impl Fn(&Page) -> bool) -> bool {
        let waited = self
            .0
            .written
            .wait_timeout_while(self.read(), PATIENCE, |page| !so(page));
        let (page, _) = waited.unwrap_or_else(PoisonError::into_inner);
        so(&page)
    }

    fn write(&self, change: impl FnOnce(&mut Page)) {
        change(&mut self.read());
        self.0.written.notify_all();
    }

    fn read(&self) -> MutexGuard<'_, Page> {
        self.0.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said<'a>(lines: &'a [String], word: &'a str) -> impl Iterator<Item = &'a str> {
    lines
        .iter()
        .map(String::as_str)
        .filter(move |line| line.split_whitespace().any(|given| given == word))
}

/// The value of `key=value` in a line, with or without quotes.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let pairs = line
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(given, _)| *given == key)
        .map(|(_, value)| value.trim_matches('"'))
}
