//! `doorward revocations`: lists what is in force, exports it, and imports an export.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::format::{Format, TextFormat, plain};
use super::order::expect_done;
use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::CommandError;
use crate::cli::output::{print, warn};
use crate::cli::progress::ProgressLine;
use crate::clock;
use crate::revocation::{BackupHeader, Revocation, Row, read_backup};
use crate::server;

/// How many rows are sent at once.
const ROWS_AT_ONCE: usize = 8_192;

/// How far a moment of an export may lie ahead of our clock, in seconds.
const AHEAD_MAX_S: u64 = 600;

/// What is done with the revocations.
#[derive(Subcommand)]
pub(in crate::cli) enum RevocationsCommand {
    /// List every revocation in force: short names, kinds and times, never a token
    List(ListArguments),
    /// Write every revocation in force to a file, while the process serves: digests and times, never a token
    Export(ExportArguments),
    /// Put everything in force that an export holds; what is in force already stays as it is
    Import(ImportArguments),
}

/// Which revocations are listed.
#[derive(Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    process: ProcessArguments,
    /// Only those that are known to be of this shop
    #[arg(long)]
    shop: Option<String>,
    /// With `json`, every line is a document, and the last one counts
    #[command(flatten)]
    format: TextFormat,
}

/// Where to.
#[derive(Args)]
pub(in crate::cli) struct ExportArguments {
    #[command(flatten)]
    process: ProcessArguments,
    /// The file, which is replaced where it exists
    file: PathBuf,
    #[command(flatten)]
    format: TextFormat,
}

/// Where from.
#[derive(Args)]
pub(in crate::cli) struct ImportArguments {
    #[command(flatten)]
    process: ProcessArguments,
    /// An export
    file: PathBuf,
    /// Import it although no shop here has a token domain of it
    #[arg(long)]
    foreign: bool,
    #[command(flatten)]
    format: TextFormat,
}

/// Runs the command.
pub(in crate::cli) fn revocations(command: &RevocationsCommand) -> Result<(), CommandError> {
    match command {
        RevocationsCommand::List(arguments) => list(arguments),
        RevocationsCommand::Export(arguments) => export(arguments),
        RevocationsCommand::Import(arguments) => import(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<(), CommandError> {
    let socket = socket_of(&arguments.process)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(arguments.shop.iter().map(|shop| ("shop", shop)));
    let path = format!("/revocations?{}", query.finish());
    let mut lines = Lines::of(arguments.format.format);
    let answered = server::call_for_pieces(&socket, &path, &mut |piece| lines.take(piece));
    let (status, answer) = answered.map_err(|error| no_answer(&socket, &error))?;
    expect_done(status.as_u16(), &answer)?;
    lines.end()
}

/// The lines of a list, printed as they come.
struct Lines {
    format: Format,
    /// The begin of a line whose end is still to come.
    begun: Vec<u8>,
    count: u64,
    /// The last line, which counts.
    end: Option<Value>,
    progress: ProgressLine,
}

impl Lines {
    fn of(format: Format) -> Self {
        Self {
            format,
            begun: Vec::new(),
            count: 0,
            end: None,
            progress: ProgressLine::of("listing"),
        }
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.begun.extend_from_slice(piece);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        let mut text = String::new();
        for line in whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let told: Value = serde_json::from_slice(line)?;
            if told.get("listed").is_some() {
                self.end = Some(told);
                continue;
            }
            self.count += 1;
            match self.format {
                Format::Json => {
                    let _ = writeln!(text, "{told}"); // a String takes everything
                }
                Format::Text => text.push_str(&line_of(&told)),
            }
        }
        io::stdout().lock().write_all(text.as_bytes())?;
        let count = self.count;
        self.progress.note(|| format!("{count} revocations"));
        Ok(())
    }

    fn end(self) -> Result<(), CommandError> {
        let end = self.end.ok_or_else(|| {
            CommandError::failed("the list is incomplete: the process ended meanwhile")
        })?;
        match self.format {
            Format::Json => print(&format!("{end}\n")),
            Format::Text => {
                let others = end["not_known_to_be_of_the_shop"]
                    .as_u64()
                    .unwrap_or_default();
                let mut text = format!("{} revocations\n", plain(&end["listed"]));
                if others > 0 {
                    let _ = writeln!(
                        text,
                        "{others} more may be of this shop or another: a digest does not say, and this node did not make them \
                         since its start"
                    );
                }
                print(&text);
            }
        }
        Ok(())
    }
}

/// An entry in one line: name, kind, since, until, rule, node.
fn line_of(told: &Value) -> String {
    let until = told["until"].as_str().unwrap_or("for ever");
    format!(
        "{}  {:12}  since {:20}  until {until}  {}  {}  {}\n",
        plain(&told["log_name"]),
        plain(&told["kind"]),
        plain(&told["since"]),
        plain(&told["shop"]),
        plain(&told["rule"]),
        plain(&told["node"]),
    )
}

/// Writes beside the file, checks what was written, and renames: at no time is there half an export.
fn export(arguments: &ExportArguments) -> Result<(), CommandError> {
    let socket = socket_of(&arguments.process)?;
    let file = arguments.file.as_path();
    let unwritable = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("{} can't be written: {error}", file.display()))
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let beside = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))); // of mode 0600
    let mut beside = beside.map_err(|error| unwritable(&error))?;
    let mut progress = ProgressLine::of("exporting");
    let mut bytes = 0;
    let mut failure = None;
    let answered = server::call_for_pieces(&socket, "/revocations/export", &mut |piece| {
        bytes += piece.len();
        progress.note(|| format!("{} revocations", bytes / Row::BYTES));
        beside
            .write_all(piece)
            .inspect_err(|error| failure = Some(error.to_string()))
    });
    drop(progress);
    if let Some(why) = failure {
        return Err(unwritable(&why));
    }
    let (status, answer) = answered.map_err(|error| no_answer(&socket, &error))?;
    expect_done(status.as_u16(), &answer)?;
    let written = beside.as_file().sync_all().and_then(|()| beside.rewind());
    written.map_err(|error| unwritable(&error))?;
    let (header, rows) =
        read_backup(BufReader::new(beside.as_file()), |_| Ok(())).map_err(|why| {
            CommandError::failed(format!("the export is not whole, and was not kept: {why}"))
        })?;
    beside
        .persist(file)
        .map_err(|failed| unwritable(&failed.error))?;
    sync_folder(folder.unwrap_or(Path::new("."))).map_err(|error| unwritable(&error))?;
    match arguments.format.format {
        Format::Text => print(&format!(
            "exported {rows} entries of {} to {}\n",
            header.at,
            file.display()
        )),
        Format::Json => {
            let told = json!({ "file": file, "rows": rows, "at": header.at, "installation": header.installation });
            print(&format!("{told:#}\n"));
        }
    }
    Ok(())
}

/// A renamed file is there after a power cut only when its folder is on disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads the file twice: nothing of a file is put in force that is not sound to its end.
fn import(arguments: &ImportArguments) -> Result<(), CommandError> {
    let file = arguments.file.as_path();
    let unfit = |why: &dyn std::fmt::Display| {
        let why = format!(
            "{}: {why}\n  help: nothing of it was imported",
            file.display()
        );
        CommandError::failed(why)
    };
    let mut opened = File::open(file).map_err(|error| unfit(&error))?;
    let last_s = clock::now().seconds() + AHEAD_MAX_S;
    let (header, rows) = read_backup(BufReader::new(&opened), |row| expect_past(&row, last_s))
        .map_err(|why| unfit(&why))?;
    let socket = socket_of(&arguments.process)?;
    let compared = compare(&socket, &header)?;
    tell_origin(file, &header, &compared, arguments.foreign)?;
    opened.rewind().map_err(|error| unfit(&error))?;
    let mut sending = Sending {
        socket: &socket,
        body: Vec::new(),
        sent: 0,
        news: 0,
        failure: None,
        progress: ProgressLine::of("importing"),
    };
    let read = read_backup(BufReader::new(&opened), |row| sending.push(&row, rows));
    let sent = read.map_err(|why| why.to_string());
    let sent = sent.and_then(|_| sending.send(rows));
    if let Some(failure) = sending.failure.take() {
        return Err(failure);
    }
    sent.map_err(|why| CommandError::failed(format!("{}: {why}", file.display())))?;
    let news = sending.news;
    drop(sending);
    match arguments.format.format {
        Format::Text => print(&format!("imported {rows} entries, {news} of them new\n")),
        Format::Json => {
            let told = json!({ "rows": rows, "news": news, "same_installation": compared["same_installation"] });
            print(&format!("{told:#}\n"));
        }
    }
    Ok(())
}

/// A cutoff of the future would refuse tokens that are still to be issued.
fn expect_past(row: &Revocation, last_s: u64) -> Result<(), String> {
    let moment_s = match row {
        Revocation::Token { .. } => return Ok(()),
        Revocation::Cutoff { not_before, .. } => not_before.seconds(),
        Revocation::Date { at_ms, .. } => at_ms / 1_000,
    };
    if moment_s <= last_s {
        return Ok(());
    }
    Err("an entry is of a moment that is still to come: the clock of the other machine was ahead, or this one is behind".to_owned())
}

fn compare(socket: &Path, header: &BackupHeader) -> Result<Value, CommandError> {
    let body = serde_json::to_vec(header).map_err(CommandError::failed)?;
    let answered = server::order(socket, "POST", "/revocations/compare", body);
    let (status, answer) = answered.map_err(|error| no_answer(socket, &error))?;
    expect_done(status.as_u16(), &answer)?;
    Ok(answer)
}

/// Says where an export comes from that is not of this installation; refuses one that would be looked up by no shop.
fn tell_origin(
    file: &Path,
    header: &BackupHeader,
    compared: &Value,
    is_foreign_meant: bool,
) -> Result<(), CommandError> {
    let number = |name: &str| compared[name].as_u64().unwrap_or_default();
    let (all, known) = (number("token_domains"), number("known_token_domains"));
    let node = header.node.as_deref().unwrap_or("a node of no cluster");
    if compared["same_installation"] != true {
        warn(format_args!(
            "note: {} comes from another installation or cluster ({node}, {})",
            file.display(),
            header.at
        ));
    }
    if known == 0 && !is_foreign_meant {
        return Err(CommandError::failed(format!(
            "{}: none of its {all} token domains is one of a shop here, so that nothing of it would be looked up\n  \
             help: nothing of it was imported. If the shops are still to be configured, import it with --foreign",
            file.display()
        )));
    }
    if known < all {
        warn(format_args!(
            "note: {} of its {all} token domains are those of no shop here; their entries are kept, and refuse nothing here",
            all - known
        ));
    }
    Ok(())
}

/// The rows of an export on their way to the process.
struct Sending<'s> {
    socket: &'s Path,
    body: Vec<u8>,
    sent: u64,
    news: u64,
    failure: Option<CommandError>,
    progress: ProgressLine,
}

impl Sending<'_> {
    fn push(&mut self, row: &Revocation, all: u64) -> Result<(), String> {
        self.body.extend_from_slice(Row::encode(row).bytes());
        if self.body.len() < ROWS_AT_ONCE * Row::BYTES {
            return Ok(());
        }
        self.send(all)
    }

    /// Sends what is there. The process answers when it is on disk.
    fn send(&mut self, all: u64) -> Result<(), String> {
        let body = std::mem::take(&mut self.body);
        self.sent += (body.len() / Row::BYTES) as u64;
        let outcome = server::order(self.socket, "POST", "/revocations/import", body)
            .map_err(|error| no_answer(self.socket, &error))
            .and_then(|(status, answer)| {
                expect_done(status.as_u16(), &answer)?;
                Ok(answer)
            });
        match outcome {
            Ok(answer) => {
                self.news += answer["news"].as_u64().unwrap_or_default();
                let sent = self.sent;
                self.progress.note(|| format!("{sent} of {all} entries"));
                Ok(())
            }
            Err(failure) => {
                self.failure = Some(failure);
                Err("not imported to its end".to_owned())
            }
        }
    }
}
