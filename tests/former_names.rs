//! Names that keys and values of the configuration had before: they are read, with a warning that says the name of now.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::path::Path;

use doorward::config;
use support::{Edge, request, said, stateless_bagisto};

const WHO: &str = "/who";
const PAGE: &str = "/cart";
const PHONE: &str = "phone-0123456789abcdef";

/// What is written, what was written before, and the two names in the warning.
const NAMES: [(&str, &str, [&str; 2]); 19] = [
    (
        "examine_bodies =",
        "examine =",
        ["examine", "examine_bodies"],
    ),
    ("\"rules\"", "\"routes\"", ["routes", "rules"]),
    ("token_domain =", "realm =", ["realm", "token_domain"]),
    (
        "revocable_with =",
        "only_with =",
        ["only_with", "revocable_with"],
    ),
    (
        "unknown_issue_time =",
        "mint =",
        ["mint", "unknown_issue_time"],
    ),
    ("\"old\"", "\"complete\"", ["complete", "old"]),
    (
        "kind = \"opaque\"\n",
        "kind = \"opaque\"\nverify = \"shop\"\n",
        ["verify", "introspection.enabled"],
    ),
    (
        "[shop.token.introspection]",
        "[shop.token.ask]",
        ["ask", "introspection"],
    ),
    ("active =", "good =", ["good", "active"]),
    ("cache_ttl =", "cache =", ["cache", "cache_ttl"]),
    ("algorithm =", "by =", ["by", "algorithm"]),
    (
        "\"least-connections\"",
        "\"least\"",
        ["least", "least-connections"],
    ),
    ("read =", "silence =", ["silence", "read"]),
    ("format =", "shape =", ["shape", "format"]),
    (
        "[[shop.token_endpoint]]",
        "[[shop.mint]]",
        ["mint", "token_endpoint"],
    ),
    ("revoke_when =", "when =", ["when", "revoke_when"]),
    (
        "confirms_token =",
        "confirms =",
        ["confirms", "confirms_token"],
    ),
    ("answer_body =", "body =", ["body", "answer_body"]),
    ("[shop.path_style]", "[shop.paths]", ["paths", "path_style"]),
];

/// A shop with every key and value that had another name before.
fn shop(upstream: &str) -> String {
    format!(
        r#"
[[shop]]
name = "main"
upstream = ["{upstream}"]
examine_bodies = "rules"

[shop.token]
kind = "opaque"
token_domain = "group"
revocable_with = ["/sub"]
unknown_issue_time = "old"
max_token_lifetime = "30d"

[shop.token.introspection]
path = "{WHO}"
active = {{ json = {{ "/good" = true }} }}
subject = "/id"
cache_ttl = "30s"

[shop.balance]
algorithm = "least-connections"

[shop.timeouts]
read = "30s"

[shop.refusal]
format = "problem"

[shop.path_style]
exact_slash = true

[[shop.token_endpoint]]
paths = ["/login"]
token = {{ json = "/token" }}

[[shop.logout]]
paths = ["/bye"]
revoke_when = "shop-agreed"
confirms_token = {{ status = "200" }}
answer_body = "true"
"#
    )
}

/// The same shop in former names.
fn former(upstream: &str) -> String {
    let names = NAMES.into_iter();
    names.fold(shop(upstream), |text, (name, former, _)| {
        assert_eq!(text.matches(name).count(), 1, "{name}");
        text.replace(name, former)
    })
}

fn warning([former, name]: [&str; 2]) -> String {
    format!("`{former}` is now called `{name}`")
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
    for (_, _, names) in NAMES {
        let warning = warning(names);
        for (when, told) in [("check", &checked.stderr), ("start", &started)] {
            assert_eq!(
                told.matches(&warning).count(),
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
    let (of_former, warnings) = loaded(&former("127.0.0.1:8000")).unwrap();
    let (of_now, none) = loaded(&shop("127.0.0.1:8000")).unwrap();
    assert_eq!(of_former, of_now);
    assert_eq!(none, "");
    assert_eq!(warnings.matches("warning: ").count(), NAMES.len());
    for part in [
        "the shop is asked",
        "unknown_issue_time = old",
        "token endpoints: 1",
    ] {
        assert!(of_now.iter().any(|line| line.contains(part)), "{part}");
    }
}

#[test]
fn a_name_beside_its_former_name_is_a_fault() {
    let names = shop("127.0.0.1:8000");
    for (line, table) in [
        ("examine = \"routes\"\n", "[[shop]]\n"),
        ("mint = \"partial\"\n", "[[shop]]\n"),
        (
            "[[shop.mint]]\npaths = \"/in\"\ntoken = { json = \"/token\" }\n",
            "\n",
        ),
        ("realm = \"group\"\n", "[shop.token]\n"),
        ("only_with = [\"/id\"]\n", "[shop.token]\n"),
        ("mint = \"partial\"\n", "[shop.token]\n"),
        ("verify = \"shop\"\n", "[shop.token]\n"),
        ("ask.path = \"/who\"\n", "[shop.token]\n"),
        (
            "good = { status = [\"2xx\"] }\n",
            "[shop.token.introspection]\n",
        ),
        ("cache = \"1s\"\n", "[shop.token.introspection]\n"),
        ("by = \"hash\"\n", "[shop.balance]\n"),
        ("silence = \"1s\"\n", "[shop.timeouts]\n"),
        ("shape = \"message\"\n", "[shop.refusal]\n"),
        ("paths.ignore_case = true\n", "[[shop]]\n"),
        ("when = \"at-once\"\n", "[[shop.logout]]\n"),
        ("confirms = { status = \"2xx\" }\n", "[[shop.logout]]\n"),
        ("body = \"{}\"\n", "[[shop.logout]]\n"),
    ] {
        let at = names.rfind(table).unwrap() + table.len();
        let both = format!("{}{line}{}", &names[..at], &names[at..]);
        let faults = loaded(&both).unwrap_err();
        assert!(faults.contains("only one of them"), "{line}{faults}");
    }
}

/// Outside of the shops: the operator listener, and the first start of a cluster.
#[test]
fn former_names_of_the_process_and_the_cluster_are_read_with_a_warning() {
    let cluster = "[cluster]\nnode = \"a\"\nlisten = \"127.0.0.1:0\"\ninsecure = true\n";
    let text = |operator: &str, cluster_key: &str| {
        let shop = shop("127.0.0.1:8000");
        format!("{operator} = \"127.0.0.1:8081\"\n{cluster}{cluster_key} = true\n{shop}")
    };
    let warnings = [
        warning(["operator", "operator_listen"]),
        warning(["initial", "new_cluster"]),
    ];
    let (of_former, told) = loaded(&text("operator", "initial")).unwrap();
    assert!(warnings.iter().all(|one| told.contains(one)), "{told}");
    let (of_now, told) = loaded(&text("operator_listen", "new_cluster")).unwrap();
    assert!(!warnings.iter().any(|one| told.contains(one)), "{told}");
    assert_eq!(of_former, of_now);
    let both = text("operator_listen", "initial = true\nnew_cluster");
    assert!(loaded(&both).unwrap_err().contains("only one of them"));
    let both = format!("operator = \"127.0.0.1:1\"\n{both}");
    let faults = loaded(&both).unwrap_err();
    assert_eq!(faults.matches("only one of them").count(), 2, "{faults}");
}

/// A policy for every `[shop.token]` of the shop, as the key `mint` of a shop once was.
#[test]
fn the_former_key_mint_of_a_shop_is_told_from_the_former_table() {
    let names = shop("127.0.0.1:8000");
    let without = names.replace("unknown_issue_time = \"old\"\n", "");
    let (is_new, _) = loaded(&without).unwrap();
    assert!(!is_new.join("\n").contains("unknown_issue_time = old"));
    let of_shop = without.replace("[[shop]]\n", "[[shop]]\nmint = \"complete\"\n");
    let (of_former, told) = loaded(&of_shop).unwrap();
    assert!(told.contains("`mint` is now called `token.unknown_issue_time`"));
    assert_eq!(of_former, loaded(&names).unwrap().0);
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
    let former = former("127.0.0.1:8000").replace("verify = \"shop\"\n", "");
    assert!(!asks(&former));
    let table = former.replace("[shop.token.ask]", "[shop.token.introspection]");
    assert!(asks(&table));
}
