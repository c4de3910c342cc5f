//! What `check` has found, for people or for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::github;
use crate::cli::exit::Exit;
use crate::cli::faults::print_faults;
use crate::config::{FaultView, Faults, Severity};
use crate::server::Probed;

/// How the outcome is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    /// For people: faults with their lines on standard error, the rest on standard output
    #[default]
    Text,
    /// One object of JSON on standard output
    Json,
    /// Workflow commands of GitHub Actions on standard output, which mark the lines of a pull request
    Github,
}

/// What was found.
#[derive(Default)]
pub(super) struct CheckReport {
    /// What is wrong.
    pub(super) faults: Faults,
    /// What the configuration says, line by line.
    pub(super) understood: Vec<String>,
    /// What is worth knowing beside that.
    pub(super) notes: Vec<String>,
    /// What was asked of other machines.
    pub(super) probed: Vec<Probed>,
    /// What becomes of requests, instead of the rest.
    pub(super) explanation: Option<Vec<String>>,
}

impl CheckReport {
    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        if self.faults.is_fatal() {
            Exit::Config
        } else if self.probed.iter().any(|one| one.outcome.is_err()) {
            Exit::Unavailable
        } else {
            Exit::Done
        }
    }

    /// Writes it.
    pub(super) fn print(&self, format: ReportFormat) -> io::Result<()> {
        match format {
            ReportFormat::Text => {
                print_faults(&self.faults);
                self.print_rest()
            }
            ReportFormat::Json => {
                writeln!(io::stdout().lock(), "{:#}", self.json())
            }
            ReportFormat::Github => {
                let mut out = io::stdout().lock();
                for fault in self.faults.views() {
                    writeln!(out, "{}", github::command(&fault))?;
                }
                drop(out);
                self.print_rest()
            }
        }
    }

    fn print_rest(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if let Some(lines) = &self.explanation {
            for line in lines {
                writeln!(out, "{line}")?;
            }
            return Ok(());
        }
        for line in &self.understood {
            writeln!(out, "ok  {line}")?;
        }
        for line in &self.notes {
            writeln!(out, "note  {line}")?;
        }
        for Probed { what, outcome } in &self.probed {
            match outcome {
                Ok(found) => writeln!(out, "ok  probe {what}: {found}")?,
                Err(why) => writeln!(out, "failed  probe {what}: {why}")?,
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let exit = self.exit().code();
        let faults: Vec<_> = self.faults.views().map(|fault| of_fault(&fault)).collect();
        let probed: Vec<_> = self.probed.iter().map(of_probe).collect();
        let mut all = json!({
            "exit_code": exit,
            "errors": self.faults.errors(),
            "warnings": self.faults.warnings(),
            "faults": faults,
            "understood": self.understood,
            "notes": self.notes,
            "probes": probed,
        });
        if let Some(lines) = &self.explanation {
            all["explanation"] = json!(lines);
        }
        all
    }
}

fn of_fault(fault: &FaultView<'_>) -> Value {
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning | Severity::Outdated => "warning",
    };
    json!({
        "severity": severity,
        "message": fault.message,
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "label": fault.label,
        "help": fault.help,
    })
}

fn of_probe(probed: &Probed) -> Value {
    let (is_good, said) = match &probed.outcome {
        Ok(found) => (true, found),
        Err(why) => (false, why),
    };
    json!({ "what": probed.what, "ok": is_good, "said": said })
}
