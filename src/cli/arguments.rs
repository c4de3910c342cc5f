//! The arguments of every command.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use super::exit::{CommandError, Exit};
use super::file_argument::FileArgument;
use super::operator::{self, ProcessArguments};
use super::{check, cluster, completions, config_command, demo, init, preset, rehearsal, run};

/// A reverse proxy that makes logout final.
#[derive(Parser)]
#[command(version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create the data folder and an empty journal in it: once for each installation, before the first `run`
    Init(FileArgument),
    /// Serve
    Run(FileArgument),
    /// Report every fault of a configuration and what is in the data folder, and change nothing
    Check(check::CheckArguments),
    /// Walk through login and logout in front of a pretend shop
    Demo {
        /// Which shop to use
        #[arg(long, default_value = "bagisto", value_parser = PossibleValuesParser::new(crate::demo::shops()))]
        shop: String,
        /// End after the walk
        #[arg(long)]
        once: bool,
    },
    /// Revoke tokens by hand, in the running process
    #[command(after_help = ORDER_CODES)]
    Revoke(operator::Revoke),
    /// Count the revocations of the running process, or look a token up
    #[command(after_help = ORDER_CODES)]
    Inspect(operator::Inspect),
    /// Tell what becomes of a request, station by station, and send nothing; or what the running process decided about one
    #[command(after_help = EXPLAIN_CODES)]
    Explain(rehearsal::Explain),
    /// Run cases with expected verdicts against a configuration, and send nothing
    #[command(after_help = TEST_CODES)]
    Test(rehearsal::TestArguments),
    /// Judge the requests of an access log or a HAR file, and send nothing: what would be refused, and why
    Rehearse(rehearsal::RehearseArguments),
    /// List, export and import the revocations of the running process
    #[command(subcommand, after_help = ORDER_CODES)]
    Revocations(operator::RevocationsCommand),
    /// Print the state of the running process: shops, keys, servers, certificates, revocations, and what is not as it should be
    #[command(after_help = ORDER_CODES)]
    Status(operator::Status),
    /// Show what the running process does, refreshed each second; `q` ends
    #[command(after_help = ORDER_CODES)]
    Top(operator::Top),
    /// List the keys that verify tokens
    #[command(subcommand, after_help = ORDER_CODES)]
    Keys(operator::KeysCommand),
    /// Change what the running process logs
    #[command(subcommand, after_help = ORDER_CODES)]
    Log(operator::LogCommand),
    /// Make balancers send customers elsewhere: `/readyz` fails, while everything is served on
    #[command(after_help = ORDER_CODES)]
    Drain(operator::DrainArguments),
    /// Write an archive for those who help: status, metrics, log, decisions, limits and configuration, without secrets
    #[command(after_help = ORDER_CODES)]
    SupportBundle(operator::Bundle),
    /// Make the running process read its configuration, keys and certificates again: all of it, or nothing
    #[command(after_help = RELOAD_CODES)]
    Reload(ProcessArguments),
    /// Ask the running process whether it is ready for customers, as the probe of a container does
    #[command(after_help = HEALTH_CODES)]
    Healthcheck(ProcessArguments),
    /// Print the configuration that is in force, or its schema
    #[command(subcommand)]
    Config(config_command::ConfigCommand),
    /// Print the presets that are built in
    #[command(subcommand)]
    Preset(preset::PresetCommand),
    /// Share revocations with other nodes
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages, one for each command
    #[command(hide = true)]
    Man {
        /// The folder for them
        folder: PathBuf,
    },
}

const ORDER_CODES: &str = "Exit codes: 0 done; 1 it could not be done, and the answer says why; \
    2 the order is wrong; 69 no process answers.";
const EXPLAIN_CODES: &str = "Exit codes: 0 explained; 1 the request id is not known; 2 the request can't be read; \
    69 no process answers; 78 the configuration has faults.";
const TEST_CODES: &str = "Exit codes: 0 every case went as expected; 1 one did not, or --fail-under is not reached; \
    2 a file of cases can't be read; 78 the configuration has faults.";
const RELOAD_CODES: &str = "Exit codes: 0 reloaded; 78 the file has faults; 1 it needs a restart, or keys can't be fetched: \
    then the old configuration stays in force; 69 no process answers.";

const HEALTH_CODES: &str = "Exit codes: 0 ready; 1 not ready, or no process answers.";

impl Arguments {
    /// Runs the command. If it fails, the reason is on standard error.
    #[must_use = "the process exits with it"]
    pub fn run(self) -> Exit {
        let outcome = match self.command {
            Command::Init(file) => init::init(&file.config),
            Command::Run(file) => run::run(&file.config),
            Command::Check(arguments) => check::check(&arguments),
            Command::Demo { shop, once } => demo::walk(&shop, once),
            Command::Revoke(revoke) => operator::revoke(revoke),
            Command::Inspect(inspect) => operator::inspect(inspect),
            Command::Revocations(command) => operator::revocations(&command),
            Command::Status(arguments) => operator::status(&arguments),
            Command::Top(arguments) => operator::top(&arguments),
            Command::Keys(command) => operator::keys(&command),
            Command::Log(command) => operator::set_log(&command),
            Command::Drain(arguments) => operator::drain(&arguments),
            Command::SupportBundle(arguments) => operator::bundle(&arguments),
            Command::Explain(explain) => rehearsal::explain(&explain),
            Command::Test(arguments) => rehearsal::test(&arguments),
            Command::Rehearse(arguments) => rehearsal::rehearse(&arguments),
            Command::Reload(process) => operator::reload(&process),
            Command::Healthcheck(process) => operator::healthcheck(&process),
            Command::Config(command) => config_command::run(&command),
            Command::Preset(command) => preset::run(&command),
            Command::Cluster(command) => cluster::run(command),
            Command::Completions { shell } => {
                completions::complete(Self::command(), shell);
                Ok(())
            }
            Command::Man { folder } => completions::write_manual(Self::command(), &folder),
        };
        outcome.map_or_else(CommandError::report, |()| Exit::Done)
    }
}
