//! Reads the arguments, prints what is wrong, chooses the exit code.

mod cluster_commands;
mod data_folder;

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use doorward::config::{self, Config, Faults};
use doorward::request::{Named, Target};
use doorward::revocation::JournalError;
use doorward::revocation::gossip::NodeError;
use doorward::server::{self, Load, Loaded, Order, StartError};
use doorward::{clock, demo};

/// Requests move between threads, and glibc's allocator makes the threads wait for each other when memory is given
/// back elsewhere than where it was taken.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A reverse proxy that makes logout final.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the data folder and an empty journal in it: once for every installation, before the first `run`
    Init(File),
    /// Serve
    Run(File),
    /// Say everything that is wrong with a configuration and what is in the data folder, and change nothing
    Check(File),
    /// Walk through login and logout in front of a pretend shop
    Demo {
        /// Which shop it is
        #[arg(long, default_value = "bagisto", value_parser = PossibleValuesParser::new(demo::shops()))]
        shop: String,
        /// End after the walk
        #[arg(long)]
        once: bool,
    },
    /// Revoke by hand, in the running process
    Revoke(Revoke),
    /// Count what is in force in the running process, or look a token up
    Inspect(Inspect),
    /// Have the running process read its configuration, keys and certificates anew: all of it, or nothing
    Reload(Process),
    /// Share revocations with other nodes
    #[command(subcommand)]
    Cluster(cluster_commands::Command),
}

#[derive(Args)]
struct File {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/doorward/doorward.toml"
    )]
    config: PathBuf,
}

#[derive(Args)]
struct Process {
    /// The configuration of the running process: it says where its control socket is
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/doorward/doorward.toml"
    )]
    config: PathBuf,
    /// The control socket, if the configuration can't be read
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

#[derive(Args)]
struct Revoke {
    #[command(flatten)]
    process: Process,
    /// The shop's name; without one, `--all-before` means all shops
    #[arg(long, required_unless_present = "all_before")]
    shop: Option<String>,
    #[command(flatten)]
    target: Targets,
    /// The `iss` of the token, where an id or customer is known under several
    #[arg(long)]
    issuer: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Targets {
    /// The token in this file; `-` reads it from standard input
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
    /// Every token issued before a moment: `now`, or such as 2026-11-21T02:00:00Z. Opaque tokens do not say
    /// when they were issued and are not reached.
    #[arg(long, value_name = "TIME")]
    all_before: Option<String>,
}

#[derive(Args)]
struct Inspect {
    #[command(flatten)]
    process: Process,
    /// The shop whose token to look up
    #[arg(long, requires = "token")]
    shop: Option<String>,
    /// The token in this file; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "shop")]
    token: Option<PathBuf>,
}

/// Exit codes as in sysexits.h: an address can't be had; and the configuration is invalid, or the data folder that it
/// names is not the one that was written last.
const UNAVAILABLE: u8 = 69;
const CONFIG: u8 = 78;

/// The status by which a process says that the configuration is invalid.
const UNPROCESSABLE: u16 = 422;

fn main() -> ExitCode {
    // Only the place: what a panic says may hold what a request said.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        eprintln!("panicked at {}", place.unwrap_or_default());
    }));
    match Arguments::parse().command {
        Command::Init(file) => data_folder::init(&file.config),
        Command::Run(file) => run(&file.config),
        Command::Check(file) => check(&file.config),
        Command::Demo { shop, once } => walk(&shop, once),
        Command::Revoke(revoke) => revoke_by_hand(revoke),
        Command::Inspect(inspect) => inspect_by_hand(inspect),
        Command::Reload(process) => reload(&process),
        Command::Cluster(command) => cluster_commands::run(command),
    }
}

fn run(path: &Path) -> ExitCode {
    let Ok(config) = load(path) else {
        return ExitCode::from(CONFIG);
    };
    start_logging(config.log);
    match server::run(config.server, config.shops, loader(path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            error @ (StartError::Bind(..)
            | StartError::Cluster(NodeError::Bind(..))
            | StartError::Unclaimed(_)),
        ) => fail(&error, UNAVAILABLE),
        Err(error @ StartError::Journal(JournalError::Missing(..) | JournalError::Copied(_))) => {
            fail(&error, CONFIG)
        }
        Err(error) => fail(&error, 1),
    }
}

/// Reads the same file again, in the same way.
fn loader(path: &Path) -> Load {
    let path = path.to_owned();
    Box::new(move || match config::load(&path) {
        Ok((config, warnings)) => Ok(Loaded {
            server: config.server,
            shops: config.shops,
            log: config.log,
            warnings: report(&warnings, false),
        }),
        Err(faults) => Err(report(&faults, false)),
    })
}

fn check(path: &Path) -> ExitCode {
    let (mut config, mut faults) = match config::load(path) {
        Ok(good) => good,
        Err(faults) => {
            tell(&faults);
            return ExitCode::from(CONFIG);
        }
    };
    match data_folder::summary(&config.server) {
        Ok(line) => config.summary.push(line),
        Err(error) => faults.push(data_folder::warning(&error)),
    }
    tell(&faults);
    let mut out = io::stdout().lock();
    let lines = config
        .summary
        .iter()
        .try_for_each(|line| writeln!(out, "ok  {line}"));
    lines.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Loads a configuration and prints its faults.
fn load(path: &Path) -> Result<Config, ()> {
    let (config, faults) = match config::load(path) {
        Ok((config, warnings)) => (Ok(config), warnings),
        Err(faults) => (Err(()), faults),
    };
    tell(&faults);
    config
}

fn tell(faults: &Faults) {
    if !faults.is_empty() {
        eprintln!("{}", report(faults, io::stderr().is_terminal()));
    }
}

/// Every fault, and how many there are; empty, if there are none.
fn report(faults: &Faults, coloured: bool) -> String {
    if faults.is_empty() {
        return String::new();
    }
    let report = if coloured {
        faults.coloured()
    } else {
        faults.to_string()
    };
    format!("{}\n{}", report.trim_end(), faults.summary())
}

fn start_logging(level: log::LevelFilter) {
    // Pingora tells of its own life at `info`, and of every customer who hangs up or fails a handshake at
    // `error`: that would be a line for whoever knocks. Both are counted instead.
    let loud = if level >= log::LevelFilter::Debug {
        log::LevelFilter::Error
    } else {
        log::LevelFilter::Off
    };
    // A reload may change the level, so the logger itself lets everything through.
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Trace)
        .filter_module("pingora", level.min(log::LevelFilter::Error))
        .filter_module("pingora_core", level.min(log::LevelFilter::Error))
        .filter_module("pingora_core::apps", loud)
        .filter_module("pingora_core::services", loud)
        .filter_module("pingora_proxy", loud)
        .format(|out, record| {
            write!(
                out,
                "{} {:5} {}",
                clock::now(),
                record.level(),
                record.args()
            )?;
            record
                .key_values()
                .visit(&mut Pairs(out))
                .map_err(io::Error::other)?;
            writeln!(out)
        })
        .init();
    log::set_max_level(level);
}

/// Writes ` key=value` for every pair that has a value.
struct Pairs<'a>(&'a mut env_logger::fmt::Formatter);

impl<'kvs> log::kv::VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(
        &mut self,
        key: log::kv::Key<'kvs>,
        value: log::kv::Value<'kvs>,
    ) -> Result<(), log::kv::Error> {
        let text = value.to_string();
        let plain = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if text == "None" {
            return Ok(());
        }
        let written = if plain {
            write!(self.0, " {key}={text}")
        } else {
            write!(self.0, " {key}={text:?}")
        };
        written.map_err(log::kv::Error::from)
    }
}

fn walk(shop: &str, once: bool) -> ExitCode {
    let walked =
        std::env::current_exe().map(|doorward| demo::run(&doorward, shop, once, &mut io::stdout()));
    match walked {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failed)) => fail(&failed, 1),
        Err(error) => fail(&error, 1),
    }
}

fn revoke_by_hand(revoke: Revoke) -> ExitCode {
    let order = match target_of(revoke.target, revoke.issuer) {
        Ok(target) => Order {
            shop: revoke.shop,
            target,
        },
        Err(error) => return fail(&error, 2),
    };
    call(&revoke.process, "/revoke", Some(&order))
}

fn inspect_by_hand(inspect: Inspect) -> ExitCode {
    let (Some(shop), Some(file)) = (inspect.shop, inspect.token) else {
        return call(&inspect.process, "/inspect", None);
    };
    match read_token(&file) {
        Ok(token) => {
            let target = Target::Token(token);
            let order = Order {
                shop: Some(shop),
                target,
            };
            call(&inspect.process, "/inspect", Some(&order))
        }
        Err(error) => fail(&error, 2),
    }
}

fn target_of(targets: Targets, issuer: Option<String>) -> io::Result<Target> {
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
        Target::AllBefore(moment(&targets.all_before.unwrap_or_default())?)
    };
    Ok(target)
}

/// A token is read from a file, for what stands in a command line is seen by every user of the machine.
fn read_token(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?;
    }
    Ok(text.trim().to_owned())
}

fn moment(text: &str) -> io::Result<u64> {
    if text == "now" {
        return Ok(clock::now().seconds());
    }
    let moment = humantime::parse_rfc3339_weak(text)
        .ok()
        .and_then(|moment| moment.duration_since(std::time::UNIX_EPOCH).ok());
    moment.map(|since| since.as_secs()).ok_or_else(|| {
        io::Error::other(format!(
            "--all-before {text}: expected `now` or a time such as 2026-11-21T02:00:00Z"
        ))
    })
}

fn call(process: &Process, path: &str, order: Option<&Order>) -> ExitCode {
    let Ok(socket) = socket_of(process) else {
        return ExitCode::from(CONFIG);
    };
    match server::call(&socket, path, order) {
        Ok((status, answer)) => {
            let _ = writeln!(io::stdout(), "{answer:#}");
            if status.is_success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => nobody_answers(&socket, &error),
    }
}

/// Prints the outcome of the process itself: what it says is what it serves by.
fn reload(process: &Process) -> ExitCode {
    let Ok(socket) = socket_of(process) else {
        return ExitCode::from(CONFIG);
    };
    let (status, answer) = match server::order_reload(&socket) {
        Ok(outcome) => outcome,
        Err(error) => return nobody_answers(&socket, &error),
    };
    let said = |key| answer.get(key).and_then(|text| text.as_str());
    if !status.is_success() {
        eprintln!("{}", said("error").unwrap_or_default());
        let is_faulty = status.as_u16() == UNPROCESSABLE;
        return ExitCode::from(if is_faulty { CONFIG } else { 1 });
    }
    if let Some(warnings) = said("warnings").filter(|text| !text.is_empty()) {
        eprintln!("{warnings}");
    }
    let _ = writeln!(io::stdout(), "reloaded");
    ExitCode::SUCCESS
}

/// The control socket of the running process; where the configuration says it, its faults are printed.
fn socket_of(process: &Process) -> Result<PathBuf, ()> {
    match &process.control {
        Some(control) => Ok(control.clone()),
        None => load(&process.config).map(|config| config.server.control),
    }
}

fn nobody_answers(socket: &Path, error: &io::Error) -> ExitCode {
    let error = format!(
        "no doorward answers at {}: {error}\n  help: is it running, and are you its user?",
        socket.display()
    );
    fail(&error, UNAVAILABLE)
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}
