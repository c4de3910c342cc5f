//! `doorward test` and `doorward rehearse`: cases with expected verdicts, and requests of logs and HAR files, of which none is sent.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Edge, Outcome, Shop, opaque_shop_table, stateless_bagisto};

/// A page of docs/, and its blocks of TOML.
fn page(name: &str) -> (String, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    let blocks = blocks.collect();
    (text, blocks)
}

/// A configuration of a page, in a folder of its own.
struct House {
    edge: Edge,
    shop: Shop,
}

impl House {
    fn with(configuration: &str) -> Self {
        let shop = stateless_bagisto();
        let edge = Edge::with(&opaque_shop_table(&shop));
        let secret = edge.path("jwt.secret");
        let text = configuration
            .replace("0.0.0.0:8080", "127.0.0.1:0")
            .replace("/var/lib/doorward", edge.path("data").to_str().unwrap())
            .replace("/etc/doorward/keys/jwt.secret", secret.to_str().unwrap());
        edge.configure(&text);
        Self { edge, shop }
    }

    fn of_the_page() -> Self {
        Self::with(&page("rehearse.md").1[1])
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.edge.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn test(&self, cases: &str, more: &[&str]) -> Outcome {
        let file = self.write("cases.toml", cases);
        self.edge.command(&[&["test", &file], more].concat())
    }

    fn rehearse(&self, name: &str, text: &str, more: &[&str]) -> Value {
        let file = self.write(name, text);
        let told = self
            .edge
            .command(&[&["rehearse", &file, "--format", "json"], more].concat());
        assert_eq!(told.code, Some(0), "{told:?}");
        serde_json::from_str(&told.stdout).unwrap()
    }
}

#[test]
fn the_cases_of_the_page_hold_for_its_configuration() {
    let house = House::of_the_page();
    let told = house.test(&page("rehearse.md").1[0], &["--fail-under", "100"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.stdout.contains("4 cases: 4 ok, 0 failed"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("(100 %)"), "{}", told.stdout);
}

#[test]
fn the_cases_of_the_canary_hold_for_its_recipe() {
    let house = House::with(&page("recipes/canary.md").1[0]);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/recipes/canary-cases.toml");
    let cases = fs::read_to_string(path).unwrap();
    let told = house.test(&cases, &[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains("3 cases: 3 ok"), "{}", told.stdout);
    assert!(
        told.stdout.contains("not touched: shop main, logout"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("[preset medusa:"), "{}", told.stdout);
}

#[test]
fn a_case_that_fails_says_what_differed_and_where() {
    let house = House::of_the_page();
    let cases = r#"
[tokens]
a = { sign = { sub = "42", exp = "+1h" } }
o = { text = "opaque-s3cret" }
[[case]]
name = "wrong"
request = { url = "https://shop.example.com/account/me", headers = { authorization = "Bearer {a}" } }
expect = { verdict = "refused", reason = "revoked", upstream = "other" }
[[case]]
name = "right"
request = { url = "https://other.example.com/", headers = { authorization = "Bearer {o}" } }
expect = { verdict = "refused", reason = "unknown_host", status = 421 }
"#;
    let told = house.test(cases, &[]);
    assert_eq!(told.code, Some(1), "{told:?}");
    for words in [
        "FAILED  wrong",
        "cases.toml:5]",
        "verdict: expected refused, got forwarded",
        "reason: expected revoked, got none",
        "upstream: expected other, got http://127.0.0.1:9000",
        "ok      right",
        "2 cases: 1 ok, 1 failed",
        "not touched: shop main, logout POST /logout",
        "doorward.toml:",
    ] {
        assert!(told.stdout.contains(words), "{words}\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("s3cret"));
    let told = house.test(cases, &["--format", "json"]);
    assert_eq!(told.code, Some(1));
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&told["failed"], &told["cases"][1]["ok"]),
        (&json!(1), &json!(true))
    );
    assert!(told["coverage"]["percent"].as_u64().unwrap() < 100);
}

#[test]
fn what_a_case_revokes_is_forgotten_by_the_next() {
    let house = House::of_the_page();
    let visit =
        r#"{ url = "https://shop.example.com/", headers = { authorization = "Bearer {a}" } }"#;
    let cases = format!(
        r#"
[tokens]
a = {{ sign = {{ sub = "42", jti = "1", iat = "-5m", exp = "+1h" }} }}
[[case]]
name = "first"
[[case.step]]
request = {{ method = "POST", url = "https://shop.example.com/logout", headers = {{ authorization = "Bearer {{a}}" }} }}
expect = {{ verdict = "logout" }}
[[case.step]]
request = {visit}
expect = {{ verdict = "refused", reason = "revoked" }}
[[case]]
name = "second"
request = {visit}
expect = {{ verdict = "forwarded" }}
"#
    );
    let told = house.test(&cases, &[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let counted = house.edge.command(&["inspect"]);
    assert!(
        counted.stdout.contains("\"tokens\": 0"),
        "{}",
        counted.stdout
    );
    assert_eq!(house.shop.seen().len(), 0, "nothing is sent");
}

#[test]
fn a_file_of_cases_with_a_fault_says_where_and_shows_no_token() {
    let house = House::of_the_page();
    let request = "request = { url = \"https://x/\" }";
    for (cases, words) in [
        ("", "no [[case]]".to_owned()),
        (
            "[[case]]\nname = \"a\"\nexpects = 1\n",
            "cases.toml:3".to_owned(),
        ),
        (
            "[tokens]\na = { text = \"s3cret\", txt = 1 }\n[[case]]\nname = \"a\"\n",
            "cases.toml:2".to_owned(),
        ),
        (
            "[[case]]\nname = \"a\"\n",
            "`request` and `expect`".to_owned(),
        ),
        (
            &format!(
                "[tokens]\na = {{ sign = {{ exp = \"later\" }} }}\n[[case]]\nname = \"a\"\n{request}\nexpect = {{}}"
            ),
            "token `a`: a time is".to_owned(),
        ),
        (
            &format!("[[case]]\nname = \"a\"\nrevoked = [\"b\"]\n{request}\nexpect = {{}}"),
            "no token is called `b`".to_owned(),
        ),
    ] {
        let told = house.test(cases, &[]);
        assert_eq!(told.code, Some(2), "{cases}\n{told:?}");
        assert!(told.stderr.contains(&words), "{words}\n{}", told.stderr);
        assert!(!told.stderr.contains("s3cret"));
    }
}

fn group<'t>(told: &'t Value, outcome: &str, reason: &Value) -> &'t Value {
    let groups = told["groups"].as_array().unwrap();
    let found = groups
        .iter()
        .find(|one| one["outcome"] == outcome && one["reason"] == *reason);
    found.unwrap_or_else(|| panic!("{outcome} {reason} in {told:#}"))
}

#[test]
fn a_log_is_judged_as_far_as_it_tells() {
    let house = House::of_the_page();
    let line = |call: &str, more: &str| {
        format!(
            "192.0.2.7 - - [30/Nov/2026:20:06:11 +0000] \"{call} HTTP/1.1\" 200 5 \"-\" \"curl\"{more}\n"
        )
    };
    let log = [
        line("GET /", ""),
        line("GET /account/me", ""),
        line(
            "GET /account/me?x=1",
            " host=\"shop.example.com\" scheme=\"https\"",
        ),
        line("POST /logout", ""),
        line("GET /x", " host=\"other.example.com\""),
        "no line of a log\n".to_owned(),
        line("TRACE /", ""),
    ]
    .concat();
    let told = house.rehearse("access.log", &log, &[]);
    assert_eq!(
        (&told["requests"], &told["unread"], &told["refused"]),
        (&json!(6), &json!(1), &json!(2))
    );
    assert_eq!(group(&told, "forwarded", &Value::Null)["requests"], 1);
    let needs = group(&told, "needs a credential", &Value::Null);
    assert_eq!(
        (&needs["requests"], &needs["route"]),
        (&json!(2), &json!("account"))
    );
    assert_eq!(needs["examples"][1]["at"], 3);
    assert_eq!(
        group(&told, "logout, if its credential is good", &Value::Null)["requests"],
        1
    );
    assert_eq!(
        group(&told, "refused", &json!("unknown_host"))["examples"][0]["at"],
        5
    );
    let ours = "{\"method\":\"GET\",\"path\":\"/account/x\",\"host\":\"shop.example.com\",\"scheme\":\"https\",\"client\":\"192.0.2.7\"}\n";
    let told = house.rehearse("access.json", &ours.repeat(3), &[]);
    assert_eq!(
        group(&told, "needs a credential", &Value::Null)["requests"],
        3
    );
    let file = house.write("access.log", &log);
    let text = house.edge.command(&["rehearse", &file]);
    assert!(
        text.stdout.contains("neither headers nor bodies"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("line 6"), "{}", text.stdout);
    assert_eq!(house.shop.seen().len(), 0, "nothing is sent");
}

#[test]
fn a_har_file_is_judged_with_its_tokens_and_its_logouts() {
    let house = House::of_the_page();
    let token = house
        .shop
        .sign(&json!({ "sub": "42", "jti": "1", "iat": 1_700_000_000, "exp": 4_000_000_000_u64 }));
    let entry = |method: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        json!({ "request": {
            "method": method, "url": format!("https://shop.example.com{path}"),
            "headers": [{ "name": "authorization", "value": bearer }],
        } })
    };
    let har = json!({ "log": { "version": "1.2", "entries": [
        entry("GET", "/account/me"), entry("POST", "/logout"), entry("GET", "/account/me"), entry("GET", "/"),
    ] } });
    let told = house.rehearse("saved.har", &har.to_string(), &[]);
    assert_eq!(
        (&told["requests"], &told["refused"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(group(&told, "logout", &Value::Null)["examples"][0]["at"], 2);
    let refused = told["groups"].as_array().unwrap().iter();
    let refused: Vec<_> = refused.filter(|one| one["outcome"] == "refused").collect();
    assert!(
        refused
            .iter()
            .all(|one| one["reason"].as_str().unwrap().starts_with("revoked")),
        "{told:#}"
    );
    assert!(!told.to_string().contains(token.rsplit('.').next().unwrap()));
    let broken = house.write("broken.har", "{\"log\":");
    let told = house.edge.command(&["rehearse", &broken]);
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(told.stderr.contains("no HAR file"), "{}", told.stderr);
}

#[test]
fn a_file_without_a_request_is_no_success() {
    let house = House::of_the_page();
    let file = house.write("log", "\u{1f}\u{8b} compressed\nno line of a log\n");
    let told = house.edge.command(&["rehearse", &file]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("not compressed"), "{told:?}");
}
