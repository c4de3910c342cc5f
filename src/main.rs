//! Reads the arguments, prints what is wrong, chooses the exit code.

mod cluster_commands;
mod data_folder;
mod operator_commands;
mod running;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use doorward::cluster::NodeError;
use doorward::config::{self, Config, Faults};
use doorward::request::honour_meanings;
use doorward::revocation::{JournalError, Revocations};
use doorward::server::{self, FaultReport, Load, Loaded, StartError};
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
    #[command(after_help = ORDER_CODES)]
    Revoke(operator_commands::Revoke),
    /// Count what is in force in the running process, or look a token up
    #[command(after_help = ORDER_CODES)]
    Inspect(operator_commands::Inspect),
    /// Have the running process read its configuration, keys and certificates anew: all of it, or nothing
    #[command(after_help = RELOAD_CODES)]
    Reload(operator_commands::Process),
    /// Share revocations with other nodes
    #[command(subcommand)]
    Cluster(cluster_commands::Command),
}

const ORDER_CODES: &str = "Exit codes: 0 done; 1 it could not be done, and the answer says why; \
    2 the order is wrong; 69 no process answers.";
const RELOAD_CODES: &str = "Exit codes: 0 reloaded; 78 the file has faults; 1 it needs a restart, or keys can't be fetched: \
    then the old configuration serves on; 69 no process answers.";

#[derive(Args)]
struct File {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        default_value = CONFIG_FILE
    )]
    config: PathBuf,
}

/// Where the configuration is unless it is said.
const CONFIG_FILE: &str = "/etc/doorward/doorward.toml";

/// Exit codes: wrong usage, as clap has it; and as in sysexits.h: an address can't be had; and the configuration is
/// invalid, or the data folder that it names is not the one that was written last.
const USAGE: u8 = 2;
const UNAVAILABLE: u8 = 69;
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    // Only the place: what a panic says may hold what a request said.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        complain(format_args!("panicked at {}", place.unwrap_or_default()));
    }));
    match Arguments::parse().command {
        Command::Init(file) => data_folder::init(&file.config),
        Command::Run(file) => run(&file.config),
        Command::Check(file) => check(&file.config),
        Command::Demo { shop, once } => walk(&shop, once),
        Command::Revoke(revoke) => operator_commands::revoke(revoke),
        Command::Inspect(inspect) => operator_commands::inspect(inspect),
        Command::Reload(process) => operator_commands::reload(&process),
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
        Err(error @ (StartError::Sockets(_) | StartError::Cluster(NodeError::Bind(..)))) => {
            fail(&error, UNAVAILABLE)
        }
        Err(
            error @ StartError::Journal(
                JournalError::Missing(..) | JournalError::Dangling(..) | JournalError::Copied(_),
            ),
        ) => fail(&error, CONFIG),
        Err(error) => fail(&error, 1),
    }
}

/// Reads the same file again, in the same way.
fn loader(path: &Path) -> Load {
    let path = path.to_owned();
    Box::new(move || match config::load(&path) {
        Ok((mut config, warnings)) => Ok(Loaded {
            outline: std::mem::take(&mut config.server.outline),
            server: config.server,
            shops: config.shops,
            log: config.log,
            warnings: report(&warnings, false),
        }),
        Err(faults) => Err(FaultReport(report(&faults, false))),
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
        Err(error) => faults.push(data_folder::fault(&config.server, &error)),
    }
    tell(&faults);
    let code = ExitCode::from(if faults.is_fatal() { CONFIG } else { 0 });
    let mut out = io::stdout().lock();
    let mut summary = config.summary.iter();
    let lines = summary
        .try_for_each(|line| writeln!(out, "ok  {line}"))
        .and_then(|()| {
            let mut former = former_meanings(&config).into_iter();
            former.try_for_each(|line| writeln!(out, "note  {line}"))
        });
    lines.map_or(ExitCode::FAILURE, |()| code)
}

/// What shops with this configuration would honour of former ones: by what the running process knows, else the journal.
fn former_meanings(config: &Config) -> Vec<String> {
    let known = server::call_meanings(&config.server.control);
    let meanings = known.or_else(|_| Revocations::meanings_on_disk(&config.server.data_dir));
    match meanings {
        Ok(meanings) => {
            let shops: Vec<_> = config.shops.iter().collect();
            honour_meanings(&shops, &meanings, clock::now());
            let told = shops.iter().flat_map(|shop| shop.honoured_in_words());
            told.collect()
        }
        Err(error) => vec![format!(
            "what former configurations meant can't be told: {error}"
        )],
    }
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
        complain(report(faults, io::stderr().is_terminal()));
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

/// Writes a line to stderr, which may be closed: `eprintln!` would panic then.
pub(crate) fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}"); // there is no other place to say it
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    complain(format_args!("error: {error}"));
    ExitCode::from(code)
}
