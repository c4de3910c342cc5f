//! Names that keys and values of the configuration had before: they are read, with a warning that says the name of now.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use doorward::config;
use support::{Edge, request, said, stateless_bagisto};

const WHO: &str = "/who";
const PAGE: &str = "/cart";
const PHONE: &str = "phone-0123456789abcdef";

/// What the warning of a former name says.
const WARNINGS: [&str; 7] = [
    "`realm` is now called `token_domain`",
    "`ask` is now called `introspection`",
    "`verify` is now called `introspection.enabled`",
    "`good` is now called `active`",
    "`by` is now called `algorithm`",
    "`least` is now called `least-connections`",
    "`silence` is now called `read`",
];

/// A shop in former names only.
fn former(upstream: &str) -> String {
    format!(
        r#"
[[shop]]
name     = "main"
upstream = ["{upstream}"]

[shop.token]
kind               = "opaque"
realm              = "group"
verify             = "shop"
max_token_lifetime = "30d"

[shop.token.ask]
path    = "{WHO}"
good    = {{ json = {{ "/good" = true }} }}
subject = "/id"

[shop.balance]
by = "least"

[shop.timeouts]
silence = "30s"
"#
    )
}

/// The same in the names of now.
fn renamed(text: &str) -> String {
    let names = [
        ("verify             = \"shop\"\n", ""),
        ("realm  ", "token_domain"),
        ("[shop.token.ask]", "[shop.token.introspection]"),
        ("good    =", "active  ="),
        ("by = \"least\"", "algorithm = \"least-connections\""),
        ("silence", "read"),
    ];
    names
        .into_iter()
        .fold(text.to_owned(), |text, (former, name)| {
            assert!(text.contains(former), "{former}");
            text.replace(former, name)
        })
}

/// The summary and the report of a configuration in front of this shop table.
fn loaded(table: &str) -> Result<(Vec<String>, String), String> {
    let text = format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{table}");
    match config::parse("doorward.toml", &text, Path::new("")) {
        Ok((config, warnings)) => Ok((config.summary, warnings.to_string())),
        Err(faults) => Err(faults.to_string()),
    }
}

#[test]
fn former_names_are_read_with_a_warning_at_the_start_and_by_check() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&former(&shop.address().to_string()));
    let checked = edge.command(&["check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let started = edge.log_lines().join("\n");
    for warning in WARNINGS {
        for (when, told) in [("check", &checked.stderr), ("start", &started)] {
            assert_eq!(
                told.matches(warning).count(),
                1,
                "{when}: {warning}\n{told}"
            );
        }
    }
    shop.recite(WHO, said(200, r#"{"good":true,"id":7}"#));
    let bearer = format!("Bearer {PHONE}");
    edge.raw(&request("GET", PAGE, &[("Authorization", &bearer)], b""));
    let asked = shop.seen().into_iter().filter(|seen| seen.target == WHO);
    assert_eq!(
        asked.count(),
        1,
        "the shop is asked under the former name, too"
    );
}

#[test]
fn former_names_mean_what_the_names_of_now_mean() {
    let former = former("127.0.0.1:8000");
    let (of_former, warnings) = loaded(&former).unwrap();
    let (of_now, none) = loaded(&renamed(&former)).unwrap();
    assert_eq!(of_former, of_now);
    assert_eq!(none, "");
    assert_eq!(warnings.matches("warning: ").count(), WARNINGS.len());
    assert!(of_now.iter().any(|line| line.contains("the shop is asked")));
}

#[test]
fn a_name_beside_its_former_name_is_a_fault() {
    let names = renamed(&former("127.0.0.1:8000"));
    for (line, both) in [
        ("realm = \"group\"\n", "[shop.token]\n"),
        ("verify = \"shop\"\n", "[shop.token]\n"),
        ("ask.path = \"/who\"\n", "[shop.token]\n"),
        (
            "good = { status = [\"2xx\"] }\n",
            "[shop.token.introspection]\n",
        ),
        ("by = \"hash\"\n", "[shop.balance]\n"),
        ("silence = \"1s\"\n", "[shop.timeouts]\n"),
    ] {
        let mut added = both.to_owned();
        added.write_str(line).unwrap();
        let faults = loaded(&names.replace(both, &added)).unwrap_err();
        assert!(faults.contains("only one of them"), "{line}{faults}");
    }
}

/// `verify` said whether the shop is asked, and a preset says how.
#[test]
fn the_former_key_verify_decides_over_a_preset() {
    let asks = |preset: &str, line: &str| {
        let table = format!(
            "[[shop]]\nname = \"main\"\npreset = \"{preset}\"\nupstream = [\"127.0.0.1:8000\"]\n{line}\n"
        );
        let (summary, _) = loaded(&table).unwrap();
        summary
            .iter()
            .any(|line| line.contains("the shop is asked"))
    };
    assert!(!asks("bagisto-api", ""));
    assert!(asks("bagisto-api", "token.verify = \"shop\""));
    assert!(asks("bagisto-api", "token.introspection.enabled = true"));
    assert!(asks("vendure", ""));
    assert!(asks("vendure", "token.ask.path = \"/api\""));
    assert!(!asks("vendure", "token.verify = \"keys\""));
    assert!(!asks("vendure", "token.introspection.enabled = false"));
}

/// The former table alone did not say that the shop is asked; the table of now does.
#[test]
fn the_former_table_alone_asks_nothing() {
    let asks = |text: &str| {
        let (summary, _) = loaded(text).unwrap();
        summary
            .iter()
            .any(|line| line.contains("the shop is asked"))
    };
    let former = former("127.0.0.1:8000").replace("verify             = \"shop\"\n", "");
    assert!(!asks(&former));
    let table = former.replace("[shop.token.ask]", "[shop.token.introspection]");
    assert!(asks(&table));
}
