//! `doorward rehearse`: the requests of an access log or a HAR file are judged, and nothing is sent.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::har;
use super::log_lines::{self, LoggedRequest};
use super::report::{print_json, print_lines};
use super::sample_error::SampleError;
use super::tally::Tally;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::faults;
use crate::cli::file_argument::FileArgument;
use crate::cli::operator::Format;
use crate::cli::progress::ProgressLine;
use crate::request::{HostPattern, Shop};
use crate::server::{Rehearsal, SampleRequest};

/// Which requests are judged.
#[derive(Args)]
pub(in crate::cli) struct RehearseArguments {
    #[command(flatten)]
    file: FileArgument,
    /// An access log or a HAR file; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// What the file is; left out: its beginning says it
    #[arg(long, value_enum, value_name = "KIND")]
    input_format: Option<InputKind>,
    /// The host of requests whose log does not say it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How the outcome is told
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputKind {
    /// A HAR file: with headers and bodies
    Har,
    /// Lines of JSON, as Doorward writes them
    Json,
    /// Lines of the combined format
    Combined,
}

impl InputKind {
    /// By the beginning of a file.
    fn of(begin: &[u8]) -> Self {
        let begin = begin.trim_ascii_start();
        let first = begin
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        if log_lines::parse_json(first).is_some() {
            return Self::Json;
        }
        if begin.first() == Some(&b'{') {
            Self::Har
        } else {
            Self::Combined
        }
    }
}

/// Judges every request of a file.
pub(in crate::cli) fn rehearse(arguments: &RehearseArguments) -> Result<(), CommandError> {
    let config = faults::load(&arguments.file.config)?;
    let rehearsal = Rehearsal::new(config.server, config.shops).map_err(CommandError::failed)?;
    let shops = rehearsal.shops();
    let mut judge = LogJudge {
        host: arguments.host.clone().or_else(|| only_host(&shops)),
        rehearsal,
        shops,
        tally: Tally::default(),
        progress: ProgressLine::of("judging"),
    };
    let path = arguments.input.as_path();
    let failed =
        |error: io::Error| CommandError::new(Exit::Usage, format!("{}: {error}", path.display()));
    let mut input = open(path).map_err(failed)?;
    let begin = input.fill_buf().map_err(failed)?;
    let kind = arguments
        .input_format
        .unwrap_or_else(|| InputKind::of(begin));
    let read = match kind {
        InputKind::Har => judge.read_har(input),
        InputKind::Json => judge.read_lines(input, log_lines::parse_json),
        InputKind::Combined => judge.read_lines(input, log_lines::parse_combined),
    };
    let LogJudge {
        tally, progress, ..
    } = judge;
    drop(progress); // clears its line
    read.map_err(|why| CommandError::new(Exit::Usage, format!("{}: {why}", path.display())))?;
    let unit = if kind == InputKind::Har {
        "entry"
    } else {
        "line"
    };
    match arguments.format {
        Format::Json => print_json(&tally.json()),
        Format::Text => {
            let mut lines = tally.lines(unit);
            lines.extend((kind != InputKind::Har).then(|| LIMITS_OF_LOGS.to_owned()));
            print_lines(&lines);
        }
    }
    if tally.requests == 0 && tally.unread > 0 {
        let why = format!(
            "{}: nothing in it is a request: is it an access log or a HAR file, and not compressed?",
            path.display()
        );
        return Err(CommandError::new(Exit::Failed, why));
    }
    Ok(())
}

const LIMITS_OF_LOGS: &str = "A log has neither headers nor bodies: whether a credential is there, alive and good is not known, nor is what \
    depends on a header. `forwarded` means: if its credentials are not refused. A HAR file tells more.";

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    const BUFFER_BYTES: usize = 64 << 10;
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, input)))
}

/// The one host of the only shop.
fn only_host(shops: &[Arc<Shop>]) -> Option<String> {
    let [shop] = shops else {
        return None;
    };
    match shop.hosts.as_slice() {
        [HostPattern::Exact(host)] => Some(host.clone()),
        [] | [HostPattern::Below(_)] | [_, _, ..] => None,
    }
}

struct LogJudge {
    rehearsal: Rehearsal,
    shops: Vec<Arc<Shop>>,
    host: Option<String>,
    tally: Tally,
    progress: ProgressLine,
}

impl LogJudge {
    fn read_har(&mut self, input: impl Read) -> Result<(), SampleError> {
        let mut number = 0;
        let mut failure = None;
        har::read_entries(input, |entry| {
            number += 1;
            let Ok(sample) = entry.into_sample() else {
                self.tally.note_unread(number);
                return true;
            };
            failure = self.judge(number, &sample, true).err();
            failure.is_none()
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn read_lines(
        &mut self,
        mut input: impl BufRead,
        parse: impl Fn(&[u8]) -> Option<LoggedRequest>,
    ) -> Result<(), SampleError> {
        let failed = |error: io::Error| SampleError::new(error.to_string());
        let (mut number, mut line) = (0, Vec::new());
        while next_line(&mut input, &mut line).map_err(failed)? {
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                Some(logged) => self.judge_logged(number, logged)?,
                None => self.tally.note_unread(number),
            }
        }
        Ok(())
    }

    fn judge_logged(&mut self, number: u64, logged: LoggedRequest) -> Result<(), SampleError> {
        let Some(host) = logged.host.or_else(|| self.host.clone()) else {
            self.tally.without_host += 1;
            return Ok(());
        };
        let is_encrypted = logged.is_encrypted.unwrap_or(true);
        let scheme = if is_encrypted { "https" } else { "http" };
        let Ok(mut sample) = SampleRequest::get(&format!("{scheme}://{host}{}", logged.target))
        else {
            self.tally.note_unread(number);
            return Ok(());
        };
        sample.method = logged.method;
        if let Some(client) = logged.client {
            sample.client = client;
        }
        self.judge(number, &sample, false)
    }

    /// A logout of a HAR file is carried out, so that what follows it is judged after it.
    fn judge(
        &mut self,
        number: u64,
        sample: &SampleRequest,
        has_credentials: bool,
    ) -> Result<(), SampleError> {
        self.rehearsal.forget_counts();
        let Ok(rehearsed) = self.rehearsal.judge(sample) else {
            self.tally.note_unread(number);
            return Ok(());
        };
        self.tally
            .note(number, &rehearsed, &self.shops, has_credentials);
        let requests = self.tally.requests;
        self.progress.note(|| format!("{requests} requests"));
        if rehearsed.logout.is_some() {
            let done = self.rehearsal.carry_out_logout();
            done.map_err(|error| SampleError::new(error.to_string()))?;
        }
        Ok(())
    }
}

/// Reads a line, as far as a line of a log is long; the rest of a longer one is dropped. `false`: there is none.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    const LINE_BYTES_MAX: u64 = 1 << 20;
    line.clear();
    let read = input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', line)?;
    if read > 0 && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(read > 0)
}
