//! The alert rules and the dashboard of `conf/`: they are valid, they fire when they should, every metric in them exists, and the
//! runbook says of each alert and of each refusal to start what to do.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Cluster, Scene};
use syn::visit::{self, Visit};

const RULES: [&str; 2] = [
    "conf/alerts/doorward.yml",
    "conf/alerts/doorward-cluster.yml",
];
const RULE_TESTS: [&str; 2] = [
    "tests/fixtures/alerts/doorward.yml",
    "tests/fixtures/alerts/doorward-cluster.yml",
];
const DASHBOARD: &str = "conf/grafana/doorward.json";

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    promtool
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments);
    let output = promtool.output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}\n{told}");
}

/// What follows this key in a file of rules, once for each rule.
fn values(text: &str, key: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let values = lines.filter_map(|line| line.strip_prefix(key));
    values
        .map(|value| value.trim().trim_matches('"').to_owned())
        .collect()
}

/// The metrics of Doorward that a text names, as samples on the page.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    let metrics =
        words.filter(|word| word.starts_with("doorward_") || word.starts_with("process_"));
    metrics.map(str::to_owned).collect()
}

/// Every metric of a page, also those without a sample so far.
fn shown(page: &str) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for line in page.lines() {
        let mut words = line.split(' ');
        if let (Some("#"), Some("TYPE"), Some(name), kind) =
            (words.next(), words.next(), words.next(), words.next())
        {
            shown.insert(name.to_owned());
            if kind == Some("histogram") {
                shown.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
            }
        }
    }
    shown
}

fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_rules_are_valid_and_each_fires_for_the_node_that_is_at_fault() {
    promtool(&[&["check", "rules"], &RULES[..]].concat());
    promtool(&[&["test", "rules"], &RULE_TESTS[..]].concat());
    for (rules, tests) in RULES.into_iter().zip(RULE_TESTS) {
        let alerts: BTreeSet<_> = values(&read(rules), "- alert:").into_iter().collect();
        let tested: BTreeSet<_> = values(&read(tests), "alertname:").into_iter().collect();
        assert_eq!(alerts, tested, "{tests}");
    }
}

#[test]
fn every_metric_of_the_rules_and_of_the_dashboard_exists() {
    let scene = Scene::with("observe = true\n");
    scene.visit(&scene.shop.sign_in("alice"));
    let mut shown_somewhere = shown(&scene.edge.metrics());
    shown_somewhere.extend(where_configured());
    let single = read(RULES[0]);
    let missing: Vec<_> = named(&single)
        .difference(&shown_somewhere)
        .cloned()
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {}", RULES[0]);
    let cluster = Cluster::of(&["a", "b"]).start();
    shown_somewhere.extend(shown(&cluster["a"].metrics()));
    for text in [
        read(RULES[1]),
        expressions().join("\n"),
        read("docs/metrics.md"),
    ] {
        let missing: Vec<_> = named(&text).difference(&shown_somewhere).cloned().collect();
        assert!(missing.is_empty(), "{missing:?} of\n{text}");
    }
}

/// Metrics that are shown only where something is configured (a bus, a certificate, a queue, routes that are off, keys that are fetched), from
/// the reference, which comes from the source.
fn where_configured() -> BTreeSet<String> {
    let begins = [
        "doorward_bus_",
        "doorward_certificate_not_after",
        "doorward_enforce_off",
        "doorward_keys_last_fetch",
        "doorward_mirrored",
        "doorward_retries",
        "doorward_upstream_queue",
    ];
    let all = named(&read("docs/reference/metrics.md")).into_iter();
    all.filter(|name| begins.iter().any(|begin| name.starts_with(begin)))
        .collect()
}

#[test]
fn the_dashboard_loads_anywhere_and_every_expression_can_be_parsed() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert_eq!(dashboard["uid"], "doorward");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables.iter().find(|one| one["type"] == "datasource");
    assert_eq!(source.unwrap()["name"], "datasource");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each has its own id");
    for panel in panels {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
    let rules = expressions()
        .into_iter()
        .enumerate()
        .map(|(place, expression)| {
            let expression = expression.replace("$__rate_interval", "5m");
            assert!(!expression.contains("$__"), "{expression}");
            let expression = serde_json::to_string(&expression).unwrap();
            format!("      - record: panel_{place}\n        expr: {expression}\n")
        });
    let rules: String = rules.collect();
    let rules = format!("groups:\n  - name: dashboard\n    rules:\n{rules}");
    let path = format!("{}/dashboard-rules.yml", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, rules).unwrap();
    promtool(&["check", "rules", &path]);
}

#[test]
fn the_runbook_has_an_entry_for_each_alert_and_each_alert_leads_to_it() {
    let runbook = read("docs/runbook.md");
    let mut alerts = BTreeSet::new();
    for rules in RULES {
        let text = read(rules);
        let names = values(&text, "- alert:");
        let links = values(&text, "runbook:");
        assert_eq!(names.len(), links.len(), "{rules}");
        for (name, link) in names.iter().zip(links) {
            assert_eq!(link, format!("docs/runbook.md#{}", name.to_lowercase()));
            assert!(runbook.contains(&format!("### {name}\n")), "{name}");
        }
        alerts.extend(names);
    }
    let entries = values(&runbook, "### ").into_iter().collect();
    assert_eq!(alerts, entries, "no entry without its alert");
}

/// The texts of messages, with `…` for what is put into them.
#[derive(Default)]
struct Messages(Vec<String>);

impl Visit<'_> for Messages {
    fn visit_macro(&mut self, call: &syn::Macro) {
        let name = call.path.segments.last().unwrap().ident.to_string();
        if ["write", "format"].contains(&name.as_str()) {
            let tokens = call.tokens.clone().into_iter();
            let texts =
                tokens.filter_map(|token| syn::parse_str::<syn::LitStr>(&token.to_string()).ok());
            self.0
                .extend(texts.map(|text| template(&text.value())).next());
        }
        visit::visit_macro(self, call);
    }
}

fn template(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let mut parts = first.split('{');
    let begin = parts.next().unwrap_or_default().to_owned();
    parts.fold(begin, |all, part| {
        let (_, rest) = part.split_once('}').unwrap();
        all + "…" + rest
    })
}

#[test]
fn the_runbook_has_an_entry_for_each_refusal_to_start() {
    let runbook = read("docs/runbook.md");
    let rows = runbook.lines().filter_map(|line| line.strip_prefix("| `"));
    let refusals: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let mut messages = Messages::default();
    for file in [
        "src/revocation/journal/error.rs",
        "src/server/process/sockets.rs",
        "src/cluster/node.rs",
    ] {
        let file = syn::parse_file(&read(file)).unwrap();
        for item in &file.items {
            if let syn::Item::Impl(item) = item
                && let syn::Type::Path(of) = &*item.self_ty
                && of
                    .path
                    .segments
                    .last()
                    .unwrap()
                    .ident
                    .to_string()
                    .ends_with("Error")
            {
                messages.visit_item_impl(item);
            }
        }
    }
    assert!(messages.0.len() > 12, "{:?}", messages.0);
    for message in &messages.0 {
        let is_known = refusals.iter().any(|refusal| message.starts_with(refusal));
        assert!(is_known, "{message}\n{refusals:#?}");
    }
}
