//! `doorward check`: reports every fault of a configuration, and what is in the data folder.

use std::path::Path;

use clap::Args;

use super::permissions;
use super::report::{CheckReport, ReportFormat};
use super::service_user::ServiceUser;
use crate::cli::data_folder;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::faults;
use crate::cli::file_argument::FileArgument;
use crate::cli::operator::Format;
use crate::cli::rehearsal::{TokenArguments, check_token};
use crate::clock;
use crate::config::{self, Config, Fault, NamedFile};
use crate::request::honour_meanings;
use crate::revocation::Revocations;
use crate::server::{self, Probed};

/// What `check` reads and prints.
#[derive(Args)]
pub(in crate::cli) struct CheckArguments {
    #[command(flatten)]
    file: FileArgument,
    /// Print what becomes of requests instead: listeners, hosts, and of each shop logouts, routes and servers, in order
    #[arg(long)]
    explain: bool,
    /// How the outcome is written
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Also ask around: connect to every server, ask each shop's logout without a token, fetch key sets, and try whether the
    /// addresses are free
    #[arg(long)]
    probe: bool,
    /// The user of the service, who must be able to read every file; left out: for root, the owner of the data folder
    #[arg(long, value_name = "USER")]
    as_user: Option<String>,
    /// Print the commands that give every file the owner and mode that it needs, and nothing else; change nothing
    #[arg(long, conflicts_with_all = ["explain", "format", "probe"])]
    fix_permissions: bool,
    #[command(flatten)]
    token: TokenArguments,
}

/// Reads a configuration and changes nothing.
pub(in crate::cli) fn check(arguments: &CheckArguments) -> Result<(), CommandError> {
    let path = &arguments.file.config;
    if arguments.fix_permissions {
        let (files, data_dir) = config::files_of(path);
        let user = service_user(arguments.as_user.as_deref(), data_dir.as_deref())?;
        permissions::print_commands(&files, user.as_ref());
        return Ok(());
    }
    if arguments.token.token.is_some() {
        let format = match arguments.format {
            ReportFormat::Text => Format::Text,
            ReportFormat::Json => Format::Json,
            ReportFormat::Github => {
                let why = "--token is told as text or json: no line of the file is at fault";
                return Err(CommandError::new(Exit::Usage, why));
            }
        };
        return check_token(faults::load(path)?, &arguments.token, format);
    }
    let report = match config::load(path) {
        Ok((config, faults)) => {
            let mut report = CheckReport {
                faults,
                ..CheckReport::default()
            };
            examine(&mut report, config, arguments)?;
            report
        }
        Err(faults) => CheckReport {
            faults,
            ..CheckReport::default()
        },
    };
    let printed = report.print(arguments.format);
    printed.map_err(|_| CommandError::printed(Exit::Failed))?;
    match report.exit() {
        Exit::Done => Ok(()),
        exit @ (Exit::Failed | Exit::Usage | Exit::Unavailable | Exit::Config) => {
            Err(CommandError::printed(exit))
        }
    }
}

/// Looks at what a configuration that loads leads to.
fn examine(
    report: &mut CheckReport,
    mut config: Config,
    arguments: &CheckArguments,
) -> Result<(), CommandError> {
    report.faults.refuse_outdated();
    let data_dir = &config.server.data_dir;
    let user = service_user(arguments.as_user.as_deref(), Some(data_dir))?;
    if let Some(user) = &user {
        let mut files = vec![NamedFile::unnamed(&arguments.file.config)];
        files.append(&mut config.files);
        for fault in permissions::faults(&files, user) {
            report.faults.push(fault);
        }
        if let Some(fault) = permissions::data_folder_fault(data_dir, user) {
            report.faults.push(fault);
        }
    }
    match data_folder::summary(&config.server) {
        Ok(line) => config.summary.push(line),
        Err(error) => report
            .faults
            .push(data_folder::fault(&config.server, &error)),
    }
    report.understood = std::mem::take(&mut config.summary);
    if arguments.explain {
        report.explanation = Some(config.explanation());
    } else {
        report.notes = former_meanings(&config);
    }
    if arguments.probe {
        report.probed = probe(&config).unwrap_or_else(|fault| {
            report.faults.push(fault);
            Vec::new()
        });
    }
    Ok(())
}

fn probe(config: &Config) -> Result<Vec<Probed>, Fault> {
    let probed = server::probe(&config.server, &config.shops);
    probed.map_err(|error| Fault::error(format!("nothing can be probed: {error}")))
}

/// The user of the service: the one that is named, else for root the owner of the data folder.
fn service_user(
    named: Option<&str>,
    data_dir: Option<&Path>,
) -> Result<Option<ServiceUser>, CommandError> {
    match named {
        Some(name) => match ServiceUser::named(name) {
            Some(user) => Ok(Some(user)),
            None => Err(CommandError::new(
                Exit::Usage,
                format!(
                    "--as-user {name}: this machine has no such user\n  help: `systemctl show -p User doorward` names it"
                ),
            )),
        },
        None if rustix::process::geteuid().is_root() => {
            Ok(data_dir.and_then(ServiceUser::owner_of))
        }
        None => Ok(None),
    }
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
            "can't read what former configurations meant: {error}"
        )],
    }
}
