//! Where the lines of the access log are written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::access_line::AccessLine;
use super::journald::Journald;
use super::settings::AccessLogTarget;
use crate::clock;
use crate::server::journal_stream::is_journal;

/// How often the path of the file is looked at: another program may have renamed the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Its owner writes the file, and its group reads it.
const FILE_MODE: u32 = 0o640;

/// An open access log.
#[derive(Debug)]
pub(crate) struct AccessLogSink(Opened);

#[derive(Debug)]
enum Opened {
    Stdout { has_priorities: bool },
    Journald(Journald),
    File(LogFile),
}

impl AccessLogSink {
    /// Opens it. A file is made if it is not there.
    pub(crate) fn open(target: &AccessLogTarget) -> io::Result<Self> {
        let opened = match target {
            AccessLogTarget::Stdout => Opened::Stdout {
                has_priorities: is_journal(io::stdout()),
            },
            AccessLogTarget::Journald(path) => Opened::Journald(Journald::open(path)?),
            AccessLogTarget::File(path) => Opened::File(LogFile::open(path)?),
        };
        Ok(Self(opened))
    }

    /// Writes lines.
    ///
    /// # Errors
    ///
    /// Some of them may be lost.
    pub(super) fn write(&mut self, lines: &[AccessLine]) -> io::Result<()> {
        match &mut self.0 {
            Opened::Stdout { has_priorities } => {
                let text = joined(lines, *has_priorities);
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Opened::Journald(journald) => {
                let written = lines.iter().map(|line| journald.write(line));
                written.fold(Ok(()), Result::and)
            }
            Opened::File(file) => file.append(&joined(lines, false)),
        }
    }
}

fn joined(lines: &[AccessLine], has_priorities: bool) -> String {
    let length = lines.iter().map(|line| line.text.len() + 3).sum();
    let mut text = String::with_capacity(length);
    for line in lines {
        if has_priorities {
            text.push('<');
            text.push(char::from(b'0' + line.priority.number()));
            text.push('>');
        }
        text.push_str(&line.text);
    }
    text
}

/// A file that is appended to. When it is renamed or removed, another takes its place.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    looked_at: Instant,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // A pipe without a reader is refused, and no reader holds the writer up.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let mut how = OpenOptions::new();
        how.append(true).create(true).mode(FILE_MODE);
        let file = how.custom_flags(flags).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            looked_at: clock::instant(),
        })
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let now = clock::instant();
        if now.duration_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            if !self.is_in_place()
                && let Ok(fresh) = Self::open(&self.path)
            {
                *self = fresh; // otherwise the old one is better than none
            }
        }
        self.file.write_all(text.as_bytes())
    }

    /// Whether the path still leads to the file.
    fn is_in_place(&self) -> bool {
        let (there, here) = (fs::metadata(&self.path), self.file.metadata());
        let named = |status: fs::Metadata| (status.dev(), status.ino());
        matches!((there.map(named), here.map(named)), (Ok(there), Ok(here)) if there == here)
    }
}
