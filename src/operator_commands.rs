//! `doorward revoke`, `inspect` and `reload`: orders to the running process.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use clap::Args;
use doorward::request::{Named, TOKEN_BYTES_MAX, Target};
use doorward::server::{self, Order};
use doorward::{clock, config};
use serde_json::Value;

use crate::{CONFIG, CONFIG_FILE, UNAVAILABLE, USAGE, complain, fail, running};

/// Which process is meant.
#[derive(Args)]
pub(crate) struct Process {
    /// The configuration that the process was started with; it may be half edited, or gone
    #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// The control socket; left out: that of the running process, or what `control` and `data_dir` of the file say
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    process: Process,
    /// The shop's name; without one, `--all-before` means all shops
    #[arg(long, required_unless_present = "all_before")]
    shop: Option<String>,
    #[command(flatten)]
    target: Targets,
    /// Only tokens with this `iss`; left out: of any issuer
    #[arg(long)]
    issuer: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before all customers are cut off; needed where standard input is no terminal
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Targets {
    /// The token in this file, alone or as it stands in a header or cookie; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// The token with this id claim
    #[arg(long)]
    jti: Option<String>,
    /// Every token of this customer issued until now
    #[arg(long)]
    subject: Option<String>,
    /// Every token of this session
    #[arg(long)]
    session: Option<String>,
    /// Every token issued before a moment: `now`, or such as 2026-11-21T02:00:00Z or 2026-11-21T04:00:00+02:00, not in the future. Opaque tokens do
    /// not say when they were issued and are not reached. Nothing takes it back.
    #[arg(long, value_name = "TIME")]
    all_before: Option<String>,
}

#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    process: Process,
    /// The shop whose token to look up
    #[arg(long, requires = "token")]
    shop: Option<String>,
    /// The token in this file; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "shop")]
    token: Option<PathBuf>,
}

/// The statuses by which a process says that the configuration is invalid, and that the order is.
const UNPROCESSABLE: u16 = 422;
const BAD_REQUEST: u16 = 400;

/// How long a name may be: no token carries a longer one that is read.
const NAME_BYTES_MAX: usize = TOKEN_BYTES_MAX;

/// How long a token may be with what stands around it.
const PASTED_BYTES_MAX: usize = 64 << 10;

pub(crate) fn revoke(revoke: Revoke) -> ExitCode {
    let names = [
        ("shop", &revoke.shop),
        ("issuer", &revoke.issuer),
        ("jti", &revoke.target.jti),
        ("subject", &revoke.target.subject),
        ("session", &revoke.target.session),
        ("all-before", &revoke.target.all_before),
    ];
    if let Err(error) = refuse_long(names) {
        return fail(&error, USAGE);
    }
    let (target, is_now) = match target_of(revoke.target, revoke.issuer) {
        Ok(read) => read,
        Err(error) => return fail(&error, USAGE),
    };
    let socket = match socket_of(&revoke.process) {
        Ok(socket) => socket,
        Err(error) => return fail(&error, UNAVAILABLE),
    };
    let mut order = Order {
        shop: revoke.shop,
        target,
        dry_run: revoke.dry_run,
    };
    let cuts_off = matches!(order.target, Target::AllBefore(_));
    if cuts_off && !revoke.dry_run && !revoke.yes {
        match ask(&socket, &mut order) {
            Ok(true) => {}
            Ok(false) => return fail(&"nothing was revoked", 1),
            Err(code) => return code,
        }
    }
    if is_now {
        order.target = Target::AllBefore(clock::now().seconds());
    }
    call(&socket, "/revoke", Some(&order))
}

/// Says what the order would do, and asks whether to go on.
fn ask(socket: &Path, order: &mut Order) -> Result<bool, ExitCode> {
    if !io::stdin().is_terminal() {
        let why = "--all-before ends every login, and nobody can be asked here: nothing was revoked\n  \
                   help: say --yes if it is meant, or --dry-run to see what it would do";
        return Err(fail(&why, USAGE));
    }
    order.dry_run = true;
    let tried = server::call(socket, "/revoke", Some(order));
    order.dry_run = false;
    let (status, answer) = tried.map_err(|error| nobody_answers(socket, &error))?;
    if !status.is_success() {
        return Err(told(status.as_u16(), &answer));
    }
    let asked = question(order.shop.as_deref(), &answer);
    write!(io::stderr(), "{asked}").map_err(|error| fail(&error, 1))?;
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    read.map_err(|error| fail(&error, 1))?;
    Ok(is_yes(&line))
}

/// What is asked before everybody is cut off.
fn question(shop: Option<&str>, tried: &Value) -> String {
    let whose = shop.map_or("all shops".to_owned(), |shop| format!("shop {shop}"));
    let seen = tried["seen_tokens"].as_u64().unwrap_or_default();
    let notes = tried["notes"].as_array().into_iter().flatten();
    let notes = notes.filter_map(Value::as_str);
    let notes: String = notes.flat_map(|note| ["note: ", note, "\n"]).collect();
    format!(
        "{notes}Every token of {whose} that was issued before that moment is refused from now on; of those seen lately, \
         {seen}.\nCustomers have to log in again, and nothing takes it back. Go on? [y/N] "
    )
}

fn is_yes(line: &str) -> bool {
    ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str())
}

pub(crate) fn inspect(inspect: Inspect) -> ExitCode {
    let socket = match socket_of(&inspect.process) {
        Ok(socket) => socket,
        Err(error) => return fail(&error, UNAVAILABLE),
    };
    let (Some(shop), Some(file)) = (inspect.shop, inspect.token) else {
        return call(&socket, "/inspect", None);
    };
    let shop = Some(shop);
    match refuse_long([("shop", &shop)]).and_then(|()| read_token(&file)) {
        Ok(token) => {
            let order = Order {
                shop,
                target: Target::Token(token),
                dry_run: false,
            };
            call(&socket, "/inspect", Some(&order))
        }
        Err(error) => fail(&error, USAGE),
    }
}

/// What the arguments name, and whether that is every token until now.
fn target_of(targets: Targets, issuer: Option<String>) -> io::Result<(Target, bool)> {
    let named = |name| Named { name, issuer };
    let target = if let Some(file) = targets.token {
        Target::Token(read_token(&file)?)
    } else if let Some(name) = targets.jti {
        Target::Jti(named(name))
    } else if let Some(name) = targets.subject {
        Target::Subject(named(name))
    } else if let Some(name) = targets.session {
        Target::Session(named(name))
    } else {
        let text = targets.all_before.unwrap_or_default();
        let text = text.trim();
        return Ok((Target::AllBefore(moment(text)?), text == "now"));
    };
    Ok((target, false))
}

/// What no process could find is not sent.
fn refuse_long<const N: usize>(names: [(&str, &Option<String>); N]) -> io::Result<()> {
    let length = |name: &Option<String>| name.as_ref().map_or(0, String::len);
    let mut names = names
        .into_iter()
        .map(|(argument, name)| (argument, length(name)));
    match names.find(|(_, length)| *length > NAME_BYTES_MAX) {
        None => Ok(()),
        Some((argument, length)) => Err(io::Error::other(format!(
            "--{argument} is too long: {length} bytes, and it may have {NAME_BYTES_MAX}\n  \
             help: a whole token is given with --token, in a file or on standard input"
        ))),
    }
}

/// A token is read from a file, for what stands in a command line is seen by every user of the machine.
fn read_token(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = PASTED_BYTES_MAX as u64 + 1;
    if file == Path::new("-") {
        io::stdin().take(most).read_to_string(&mut text)?;
    } else {
        let read = File::open(file).and_then(|file| file.take(most).read_to_string(&mut text));
        read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    }
    if text.len() > PASTED_BYTES_MAX {
        return Err(io::Error::other(format!(
            "--token {}: too long for a token and what stands around it: it may have {PASTED_BYTES_MAX} bytes",
            file.display()
        )));
    }
    Ok(text)
}

fn moment(text: &str) -> io::Result<u64> {
    if text == "now" {
        return Ok(clock::now().seconds());
    }
    let moment = in_utc(text).and_then(|(utc, ahead_s)| {
        let moment = humantime::parse_rfc3339(&utc).ok()?;
        let since = moment.duration_since(UNIX_EPOCH).ok()?;
        since.as_secs().checked_add_signed(-ahead_s)
    });
    moment.ok_or_else(|| {
        io::Error::other(format!(
            "--all-before {text}: expected `now`, or a time with its zone, such as 2026-11-21T02:00:00Z (in UTC) or \
             2026-11-21T04:00:00+02:00"
        ))
    })
}

/// A time as if it were in UTC, and how many seconds its zone is ahead of that; `None`: it says no zone.
fn in_utc(text: &str) -> Option<(String, i64)> {
    let (local, ahead_s) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => zone_of(text)?,
    };
    let is_alone = !local.contains('Z'); // the parser would read no further
    is_alone.then(|| (format!("{local}Z"), ahead_s))
}

/// A time without its zone, such as `+02:00`, and how many seconds that is ahead of UTC.
fn zone_of(text: &str) -> Option<(&str, i64)> {
    let (local, zone) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |digits: &str, end: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| is_number)?;
        (number < end).then_some(number)
    };
    let ahead_s = number(hours, 24)? * 3_600 + number(minutes, 60)? * 60;
    match zone.as_bytes()[0] {
        b'+' => Some((local, ahead_s)),
        b'-' => Some((local, -ahead_s)),
        _ => None,
    }
}

fn call(socket: &Path, path: &str, order: Option<&Order>) -> ExitCode {
    match server::call(socket, path, order) {
        Ok((status, answer)) => told(status.as_u16(), &answer),
        Err(error) => nobody_answers(socket, &error),
    }
}

/// Prints what the process says; what it could not do is an error, and what it could not read is one of usage.
fn told(status: u16, answer: &Value) -> ExitCode {
    let _ = writeln!(io::stdout(), "{answer:#}");
    match status {
        200..300 => ExitCode::SUCCESS,
        BAD_REQUEST => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

/// Prints the outcome of the process itself: what it says is what it serves by.
pub(crate) fn reload(process: &Process) -> ExitCode {
    let socket = match socket_of(process) {
        Ok(socket) => socket,
        Err(error) => return fail(&error, UNAVAILABLE),
    };
    let (status, answer) = match server::order_reload(&socket) {
        Ok(outcome) => outcome,
        Err(error) => return nobody_answers(&socket, &error),
    };
    let said = |key| answer.get(key).and_then(|text| text.as_str());
    if !status.is_success() {
        complain(said("error").unwrap_or_default());
        let is_faulty = status.as_u16() == UNPROCESSABLE;
        return ExitCode::from(if is_faulty { CONFIG } else { 1 });
    }
    if let Some(warnings) = said("warnings").filter(|text| !text.is_empty()) {
        complain(warnings);
    }
    let changed = answer["changed"].as_array().into_iter().flatten();
    let changed: Vec<_> = changed.filter_map(Value::as_str).collect();
    if changed.is_empty() {
        complain("nothing changed");
    }
    for key in changed {
        complain(format_args!("changed: {key}"));
    }
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "reloaded");
    let former = answer["former_meanings"].as_array().into_iter().flatten();
    for line in former.filter_map(Value::as_str) {
        let _ = writeln!(out, "note  {line}");
    }
    ExitCode::SUCCESS
}

/// The control socket of the running process. What the process itself shows counts: its file may be half edited.
pub(crate) fn socket_of(process: &Process) -> Result<PathBuf, String> {
    if let Some(control) = &process.control {
        return Ok(control.clone());
    }
    let running = running::control_sockets(&process.config);
    let written = config::control_of(&process.config);
    if let [only] = running.iter().collect::<Vec<_>>().as_slice() {
        return Ok((*only).clone());
    }
    let file = process.config.display();
    match written {
        Some(written) if running.is_empty() || running.contains(&written) => Ok(written),
        Some(_) | None if !running.is_empty() => {
            let sockets: Vec<_> = running
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Err(format!(
                "several processes run by {file}: say which with --control\n  help: {}",
                sockets.join(", ")
            ))
        }
        Some(_) | None => Err(format!(
            "no process that runs by {file} is found, and the file says neither `control` nor `data_dir`\n  \
             help: is it running, and are you its user? Name its socket with --control"
        )),
    }
}

/// Nothing listens at the control socket, or not to this user, or it does not answer in time.
pub(crate) fn nobody_answers(socket: &Path, error: &io::Error) -> ExitCode {
    let help = if error.kind() == io::ErrorKind::TimedOut {
        "the process takes connections, but it is stopped, or hangs: look at its log and its state, continue or restart it, and \
         give the order again. It may still carry this one out when it goes on; an order that is given twice does no harm"
    } else {
        "is it running, and are you its user?"
    };
    let error = format!(
        "no doorward answers at {}: {error}\n  help: {help}",
        socket.display()
    );
    fail(&error, UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_clear_yes_cuts_everybody_off() {
        for yes in ["y\n", "Y", " yes \n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no", "yes?", "yesterday", "j"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn the_question_says_whose_tokens_and_what_is_not_reached() {
        let tried = json!({ "seen_tokens": 3, "notes": ["shop a: opaque"] });
        let asked = question(None, &tried);
        assert!(asked.starts_with("note: shop a: opaque\nEvery token of all shops"));
        assert!(asked.contains("seen lately, 3.") && asked.ends_with("[y/N] "));
        assert!(question(Some("main"), &tried).contains("of shop main"));
    }
}
