//! `doorward test`: cases with expected verdicts, run against a configuration. Nothing is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::cases::{self, Case, CaseFile, CaseStep, Expected};
use super::claims::LogNames;
use super::coverage::{Coverage, Untouched};
use super::report::{print_json, print_lines};
use super::sample_error::SampleError;
use super::stations::{Ground, verdict_in_words};
use super::test_tokens;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::faults;
use crate::cli::file_argument::FileArgument;
use crate::cli::operator::Format;
use crate::config::{Config, RuleSources, SourceLines};
use crate::request::{LogoutOrder, Refusal, Shop};
use crate::server::{Listen, Rehearsal, Rehearsed};

/// Which cases are run.
#[derive(Args)]
pub(in crate::cli) struct TestArguments {
    #[command(flatten)]
    file: FileArgument,
    /// Files of cases
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Fail, too, if the cases touch less than this share of the shops, routes, logouts and refreshes
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    fail_under: Option<u8>,
    /// How the outcome is told
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

/// A configuration, ready to judge; anew where a case has revoked something.
struct CaseStage {
    rehearsal: Rehearsal,
    shops: Vec<Arc<Shop>>,
    sources: Vec<RuleSources>,
    listen: Vec<Listen>,
    lines: SourceLines,
    is_touched: bool,
}

/// How a case went.
struct CaseOutcome {
    file: String,
    line: usize,
    name: String,
    /// What differed; empty: it went as expected.
    failures: Vec<String>,
}

impl CaseStage {
    fn set(config: Config) -> Result<Self, CommandError> {
        let listen = config.server.listen.clone();
        let rehearsal = Rehearsal::new(config.server, config.shops);
        let rehearsal = rehearsal.map_err(CommandError::failed)?;
        Ok(Self {
            shops: rehearsal.shops(),
            rehearsal,
            sources: config.sources,
            listen,
            lines: config.lines,
            is_touched: false,
        })
    }
}

/// Runs every case of every file.
pub(in crate::cli) fn test(arguments: &TestArguments) -> Result<(), CommandError> {
    let path = &arguments.file.config;
    let mut stage = CaseStage::set(faults::load(path)?)?;
    let (mut outcomes, mut coverage) = (Vec::new(), Coverage::default());
    for file in &arguments.cases {
        let usage = |why: SampleError| CommandError::new(Exit::Usage, why);
        let (cases, text) = cases::read(file).map_err(usage)?;
        let named =
            |why: SampleError| usage(SampleError::new(format!("{}: {why}", file.display())));
        let folder = file.parent().unwrap_or(Path::new(""));
        let tokens = test_tokens::read(&cases.tokens, &stage.shops, folder).map_err(named)?;
        for case in &cases.case {
            let line = cases::line_of(&text, case.span().start);
            if stage.is_touched {
                stage = CaseStage::set(faults::load_again(path)?)?;
            }
            let run = CaseRun {
                cases: &cases,
                tokens: &tokens,
                stage: &mut stage,
                coverage: &mut coverage,
            };
            let failures = run.case(case.get_ref()).map_err(|why| {
                usage(SampleError::new(format!(
                    "{}:{line}: {why}",
                    file.display()
                )))
            })?;
            outcomes.push(CaseOutcome {
                file: file.display().to_string(),
                line,
                name: case.get_ref().name.clone(),
                failures,
            });
        }
    }
    let report = CaseReport::new(outcomes, &coverage, &stage);
    match arguments.format {
        Format::Json => print_json(&report.json()),
        Format::Text => print_lines(&report.lines()),
    }
    let is_short = arguments
        .fail_under
        .is_some_and(|percent| report.percent() < percent.into());
    if is_short || report.failed() > 0 {
        return Err(CommandError::printed(Exit::Failed));
    }
    Ok(())
}

/// The run of one case.
struct CaseRun<'a> {
    cases: &'a CaseFile,
    tokens: &'a BTreeMap<String, String>,
    stage: &'a mut CaseStage,
    coverage: &'a mut Coverage,
}

impl CaseRun<'_> {
    /// What differed from what is expected.
    fn case(self, case: &Case) -> Result<Vec<String>, SampleError> {
        let io = |error: std::io::Error| SampleError::new(error.to_string());
        self.stage.rehearsal.forget_counts();
        for name in &case.revoked {
            let unknown =
                || SampleError::new(format!("no token is called `{}`", name.escape_debug()));
            let token = self.tokens.get(name).ok_or_else(unknown)?;
            let of = self.cases.tokens.get(name).ok_or_else(unknown)?;
            let shop = test_tokens::shop_of(of, &self.stage.shops)?;
            let done = self
                .stage
                .rehearsal
                .revoke_token(&shop.name, token)
                .map_err(io)?;
            done.map_err(|why| SampleError::new(format!("token `{name}`: {why}")))?;
            self.stage.is_touched = true;
        }
        let steps = case.steps()?;
        let mut failures = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let sample = step.request.sample(self.tokens)?;
            let rehearsed = self.stage.rehearsal.judge(&sample)?;
            self.coverage.note(&rehearsed);
            let found = self.differences(step, &rehearsed);
            let place = if steps.len() > 1 {
                format!("step {}: ", number + 1)
            } else {
                String::new()
            };
            failures.extend(found.iter().map(|one| format!("{place}{one}")));
            let is_agreed = step.request.shop_agrees.unwrap_or(true);
            if let Some(logout) = &rehearsed.logout
                && (is_agreed || logout.order != LogoutOrder::ShopFirst)
            {
                self.stage.rehearsal.carry_out_logout().map_err(io)?;
                self.stage.is_touched = true;
            }
        }
        Ok(failures)
    }

    /// What is not as expected, and then the way that the request took.
    fn differences(&self, step: &CaseStep, of: &Rehearsed) -> Vec<String> {
        let mut found = compare(&step.expect, of, &self.stage.shops);
        if !found.is_empty() {
            let names: &dyn LogNames = &self.stage.rehearsal;
            let ground = Ground {
                listen: &self.stage.listen,
                shops: &self.stage.shops,
                sources: &self.stage.sources,
                lines: &self.stage.lines,
                names,
            };
            for station in ground.stations(of) {
                let at = station.at.map(|at| format!("  [{at}]")).unwrap_or_default();
                found.push(format!("  {:<12} {}{at}", station.name, station.says));
            }
            found.push(format!("  {:<12} {}", "verdict", verdict_in_words(of)));
        }
        found
    }
}

fn compare(expected: &Expected, of: &Rehearsed, shops: &[Arc<Shop>]) -> Vec<String> {
    let shop = of.shop.and_then(|number| shops.get(number));
    let route = shop.and_then(|shop| shop.routes.routes().get(of.route?));
    let sent = of.sent.as_ref();
    let path = sent
        .and_then(|sent| sent.call.split_once(' '))
        .map(|(_, path)| path);
    let status = expected.status.map(|status| status.to_string());
    let pairs = [
        (
            "verdict",
            expected.verdict.as_deref(),
            Some(of.verdict.name().to_owned()),
        ),
        (
            "reason",
            expected.reason.as_deref(),
            of.refusal.map(Refusal::name).map(str::to_owned),
        ),
        (
            "detail",
            expected.detail.as_deref(),
            of.refusal.and_then(Refusal::detail).map(str::to_owned),
        ),
        (
            "status",
            status.as_deref(),
            of.status.map(|status| status.as_u16().to_string()),
        ),
        (
            "shop",
            expected.shop.as_deref(),
            shop.map(|shop| shop.name.clone()),
        ),
        (
            "route",
            expected.route.as_deref(),
            route.map(|route| route.name.clone()),
        ),
        ("path", expected.path.as_deref(), path.map(str::to_owned)),
        (
            "would",
            expected.would.as_deref(),
            of.would.map(Refusal::name).map(str::to_owned),
        ),
    ];
    let differs = pairs.into_iter().filter_map(|(what, wanted, got)| {
        let wanted = wanted?;
        let got = got.unwrap_or_else(|| "none".to_owned());
        (wanted != got).then(|| format!("{what}: expected {wanted}, got {got}"))
    });
    let mut found: Vec<_> = differs.collect();
    if let Some(wanted) = &expected.upstream {
        let named = sent.and_then(|sent| sent.upstream.clone());
        let servers = sent.map(|sent| sent.servers.clone()).unwrap_or_default();
        if named.as_ref() != Some(wanted) && !servers.contains(wanted) {
            let got = named.unwrap_or_else(|| servers.join(", "));
            let got = if got.is_empty() { "none" } else { &got };
            found.push(format!("upstream: expected {wanted}, got {got}"));
        }
    }
    found
}

/// What is told of all cases.
struct CaseReport {
    outcomes: Vec<CaseOutcome>,
    touched: usize,
    all: usize,
    untouched: Vec<Untouched>,
}

impl CaseReport {
    fn new(outcomes: Vec<CaseOutcome>, coverage: &Coverage, stage: &CaseStage) -> Self {
        let (touched, all, untouched) = coverage.compare(&stage.shops, &stage.sources);
        Self {
            outcomes,
            touched,
            all,
            untouched,
        }
    }

    fn failed(&self) -> usize {
        let failed = self.outcomes.iter().filter(|one| !one.failures.is_empty());
        failed.count()
    }

    /// Rounded down.
    fn percent(&self) -> usize {
        (self.touched * 100).checked_div(self.all).unwrap_or(100)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for one in &self.outcomes {
            let word = if one.failures.is_empty() {
                "ok"
            } else {
                "FAILED"
            };
            let name = one.name.escape_debug();
            lines.push(format!("{word:<6}  {name}  [{}:{}]", one.file, one.line));
            lines.extend(
                one.failures
                    .iter()
                    .map(|failure| format!("        {failure}")),
            );
        }
        let (count, failed) = (self.outcomes.len(), self.failed());
        lines.push(String::new());
        lines.push(format!(
            "{count} cases: {} ok, {failed} failed",
            count - failed
        ));
        lines.push(format!(
            "{} of {} shops, routes, logouts and refreshes are touched ({} %)",
            self.touched,
            self.all,
            self.percent()
        ));
        for one in &self.untouched {
            let at = one
                .at
                .as_ref()
                .map(|at| format!("  [{at}]"))
                .unwrap_or_default();
            lines.push(format!("  not touched: {}{at}", one.what));
        }
        lines
    }

    fn json(&self) -> Value {
        let cases = self.outcomes.iter().map(|one| {
            json!({
                "name": one.name, "file": one.file, "line": one.line, "ok": one.failures.is_empty(),
                "failures": one.failures,
            })
        });
        let untouched = self.untouched.iter();
        let untouched = untouched.map(|one| json!({ "what": one.what, "at": one.at }));
        json!({
            "cases": cases.collect::<Vec<_>>(),
            "failed": self.failed(),
            "coverage": {
                "touched": self.touched, "all": self.all, "percent": self.percent(),
                "not_touched": untouched.collect::<Vec<_>>(),
            },
        })
    }
}
