//! `doorward support-bundle`: what somebody else needs to help, without secrets.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::order::expect_done;
use super::process::{ProcessArguments, no_answer, socket_of};
use super::status::document;
use super::tarball::Tarball;
use crate::cli::config_command::in_force;
use crate::cli::exit::CommandError;
use crate::cli::output::print;
use crate::clock;
use crate::config;
use crate::server;

/// Which process, and where to.
#[derive(Args)]
pub(in crate::cli) struct Bundle {
    #[command(flatten)]
    process: ProcessArguments,
    /// The archive, such as `bundle.tar.gz`; it is replaced where it exists
    file: PathBuf,
}

/// What is said of the bundle in it.
const README: &str = "A support bundle of Doorward.\n\n\
    status.json         the state of the process: docs/status.md describes it\n\
    metrics.txt         all metrics\n\
    decisions.json      the last decisions: addresses of clients and paths are in it, credentials are not\n\
    log.txt             the last lines of the log, likewise\n\
    configuration.toml  the configuration in force; values that may be secret are left out\n\
    system.txt          versions, and the limits of the process\n\n\
    No token, key or secret is in it. Addresses of clients are: pass it on accordingly.\n";

/// Writes beside the file, and renames.
pub(in crate::cli) fn bundle(arguments: &Bundle) -> Result<(), CommandError> {
    let status = document(&arguments.process)?;
    let socket = socket_of(&arguments.process)?;
    let asked = server::order(&socket, "GET", "/facts", Vec::new());
    let (code, facts) = asked.map_err(|error| no_answer(&socket, &error))?;
    expect_done(code.as_u16(), &facts)?;
    let file = arguments.file.as_path();
    let unwritable = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("{} can't be written: {error}", file.display()))
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let beside = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))); // of mode 0600
    let beside = beside.map_err(|error| unwritable(&error))?;
    let mut archive = Tarball::into(beside, clock::now().seconds());
    for (name, content) in contents(arguments.process.config(), &status, &facts) {
        archive
            .add(&format!("doorward/{name}"), content.as_bytes())
            .map_err(|error| unwritable(&error))?;
    }
    let beside = archive.end().map_err(|error| unwritable(&error))?;
    beside
        .persist(file)
        .map_err(|failed| unwritable(&failed.error))?;
    print(&format!(
        "wrote {}\nIt holds no token and no secret. Addresses of clients and paths are in it.\n",
        file.display()
    ));
    Ok(())
}

fn contents(config: &Path, status: &Value, facts: &Value) -> [(&'static str, String); 7] {
    let lines = facts["log"].as_array().into_iter().flatten();
    let lines = lines.filter_map(Value::as_str);
    let as_written = || {
        let name = config.display();
        match config::without_secrets(config) {
            Ok(text) => format!("# {name} has faults; this is how it is written\n{text}"),
            Err(error) => format!("# {name} can't be read: {error}\n"),
        }
    };
    let shown = in_force(config).unwrap_or_else(as_written);
    [
        ("README.txt", README.to_owned()),
        ("status.json", format!("{status:#}\n")),
        (
            "metrics.txt",
            facts["metrics"].as_str().unwrap_or_default().to_owned(),
        ),
        ("decisions.json", format!("{:#}\n", facts["decisions"])),
        ("log.txt", lines.flat_map(|line| [line, "\n"]).collect()),
        ("configuration.toml", shown),
        ("system.txt", system(status)),
    ]
}

/// Versions, and the limits of the process as far as this user may read them.
fn system(status: &Value) -> String {
    let pid = status["pid"].as_u64().unwrap_or_default();
    let file = |path: String| {
        let content = fs::read_to_string(&path);
        let content = content.unwrap_or_else(|error| format!("{error}\n"));
        format!("--- {path}\n{content}\n")
    };
    let process = status["version"].as_str().unwrap_or_default();
    let versions = format!(
        "this command: doorward {}\nthe process: doorward {process}\n\n",
        env!("CARGO_PKG_VERSION")
    );
    versions
        + &file("/etc/os-release".to_owned())
        + &file("/proc/version".to_owned())
        + &file(format!("/proc/{pid}/limits"))
        + &file(format!("/proc/{pid}/status"))
}
