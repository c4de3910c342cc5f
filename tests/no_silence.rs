//! A shop none of whose tokens is accepted says so within seconds: in the log, in a metric and in `/readyz?verbose`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use serde_json::json;
use support::places::PAGE;
use support::{Customer, Edge, Scene, Shop, eventually, request, shop_table, stateless_bagisto};

const OTHER_SECRET: &str = "another secret of more than thirty-two bytes";
const WARNING: &str = "no token of this shop has verified";
const READY: &str = "[!] tokens of shop main: none has verified since the start or since its keys \
                     changed; ";

/// A file that only its owner can read.
fn private_file(name: &str, text: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
    path
}

/// As `shop_table`, with other lines in the place of the key's.
fn keyed(shop: &Shop, key: &str) -> String {
    let table = shop_table(shop);
    let (of_shop, _) = table.split_once("token.algorithms").unwrap();
    format!("{of_shop}{key}")
}

fn secret(file: &str) -> String {
    format!("token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{file}\"\n")
}

fn present(edge: &Edge, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    edge.raw(&request("GET", PAGE, &[("Authorization", &bearer)], b""))
        .status
}

fn metric(edge: &Edge) -> Option<String> {
    let metrics = edge.metrics();
    let name = "doorward_no_token_accepted{shop=\"main\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.map(str::to_owned)
}

fn readiness(edge: &Edge) -> String {
    edge.ask_operator("/readyz?verbose").text()
}

fn warnings(edge: &Edge, failed: &str) -> usize {
    let lines = edge.log_lines();
    let told = lines
        .iter()
        .filter(|line| line.contains(WARNING) && line.contains(failed) && line.contains("WARN"));
    told.count()
}

/// Waits until it logs this phrase.
#[track_caller]
fn logs(edge: &Edge, phrase: &str) {
    eventually(|| edge.log_lines().iter().any(|line| line.contains(phrase)));
}

/// The three traces, with this reason.
#[track_caller]
fn is_told(edge: &Edge, what: &str, reason: &str) {
    eventually(|| warnings(edge, reason) > 0);
    assert_eq!(metric(edge).as_deref(), Some("1"), "{what}");
    let page = readiness(edge);
    let line = page.lines().find(|line| line.starts_with(READY));
    let line = line.unwrap_or_else(|| panic!("{what}: {page}"));
    assert!(
        line.contains(&format!("failed with `{reason}`")),
        "{what}: {line}"
    );
}

#[track_caller]
fn is_quiet(edge: &Edge) {
    assert_eq!(metric(edge).as_deref(), Some("0"));
    let page = readiness(edge);
    assert!(!page.contains("none has verified"), "{page}");
    assert!(!page.contains("none was within"), "{page}");
}

#[test]
fn a_wrong_secret_leaves_three_traces_until_it_is_mended() {
    let shop = stateless_bagisto();
    let file = private_file("wrong.secret", OTHER_SECRET);
    let edge = Edge::with(&keyed(&shop, &secret(&file)));
    is_quiet(&edge);
    let token = shop.sign_in("alice");
    assert_eq!(present(&edge, &token), 401);
    assert_eq!(present(&edge, &token), 401);
    is_told(&edge, "wrong secret", "signature");
    assert!(readiness(&edge).contains("2 failed with `signature`"));
    assert_eq!(
        edge.ask_operator("/readyz"),
        200,
        "no other node would do better"
    );
    edge.configure(&shop_table(&shop));
    edge.signal("HUP");
    eventually(|| present(&edge, &token) == 200);
    is_quiet(&edge);
}

#[test]
fn whatever_keeps_every_token_out_is_told() {
    let shop = stateless_bagisto();
    let token = shop.sign_in("alice");
    let of_rsa = {
        let (_, rest) = token.split_once('.').unwrap();
        format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{rest}") // {"alg":"RS256","typ":"JWT"}
    };
    let right = secret("{secret_file}");
    let short = "token.algorithms = [\"HS512\"]\ntoken.allow_short_secret = true\n\
                 token.secret_file = \"{secret_file}\"\n";
    let unreachable = "token.algorithms = [\"RS256\"]\ntoken.jwks_url = \"http://127.0.0.1:9/\"\n";
    for (what, key, token, reason) in [
        (
            "issuer",
            format!("{right}token.issuer = \"https://elsewhere.test\"\n"),
            &token,
            "issuer",
        ),
        (
            "audience",
            format!("{right}token.audience = \"app\"\n"),
            &token,
            "audience",
        ),
        (
            "kid",
            format!("{right}token.kid = \"2026\"\n"),
            &token,
            "unknown_key",
        ),
        (
            "algorithm",
            short.to_owned(),
            &token,
            "algorithm_not_pinned",
        ),
        ("JWKS", unreachable.to_owned(), &of_rsa, "no_keys"),
    ] {
        let edge = Edge::with(&keyed(&shop, &key));
        present(&edge, token);
        is_told(&edge, what, reason);
    }
}

#[test]
fn what_is_forwarded_unverified_leaves_the_same_traces() {
    let shop = stateless_bagisto();
    let file = private_file("forwarding.secret", OTHER_SECRET);
    let key = secret(&file) + "token.unverifiable = \"forward\"\n";
    let edge = Edge::with(&keyed(&shop, &key));
    assert_eq!(present(&edge, &shop.sign_in("alice")), 200);
    is_told(&edge, "forward", "signature");
    assert!(readiness(&edge).contains("they are forwarded all the same"));
    assert!(edge.says("forwarded=true"));
}

#[test]
fn the_first_token_that_verifies_ends_it_and_later_failures_are_no_news() {
    let scene = Scene::with("");
    let token = scene.shop.sign_in("alice");
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(present(&scene.edge, &forged), 401);
    is_told(&scene.edge, "forged", "signature");
    assert_eq!(present(&scene.edge, &token), 200);
    is_quiet(&scene.edge);
    logs(&scene.edge, "the first token of this shop has verified");
    assert_eq!(present(&scene.edge, &forged), 401);
    is_quiet(&scene.edge);
}

#[test]
fn a_reload_that_changes_the_keys_begins_anew() {
    let scene = Scene::with("");
    let token = scene.shop.sign_in("alice");
    assert_eq!(present(&scene.edge, &token), 200);
    let file = private_file("rotated.secret", OTHER_SECRET);
    scene.edge.configure(&keyed(&scene.shop, &secret(&file)));
    scene.edge.signal("HUP");
    eventually(|| present(&scene.edge, &token) == 401);
    is_told(&scene.edge, "rotated", "signature");
    scene.edge.configure(&shop_table(&scene.shop));
    scene.edge.signal("HUP");
    eventually(|| present(&scene.edge, &token) == 200);
    is_quiet(&scene.edge);
}

#[test]
fn a_reload_that_changes_nothing_of_the_keys_forgets_nothing() {
    let shop = stateless_bagisto();
    let file = private_file("kept.secret", OTHER_SECRET);
    let table = keyed(&shop, &secret(&file));
    let edge = Edge::with(&table);
    present(&edge, &shop.sign_in("alice"));
    is_told(&edge, "kept", "signature");
    edge.configure(&format!("{table}answer = \"local\"\n"));
    edge.signal("HUP");
    assert!(edge.says("reloaded"));
    is_told(&edge, "kept", "signature");
    assert_eq!(warnings(&edge, "signature"), 1, "once an hour");
}

#[test]
fn a_clock_that_is_wrong_for_every_token_is_told() {
    let scene = Scene::with("[[shop.route]]\npaths = [\"/*\"]\nenforce = \"valid\"\n");
    let customer = Customer::signed_in(&scene.shop);
    let early = scene
        .shop
        .sign(&json!({ "sub": 9, "iat": 1, "nbf": 32_503_680_000_u64 }));
    assert_eq!(present(&scene.edge, &early), 401);
    let line = "[!] tokens of shop main: none was within its time since the start; 1 failed with \
                `not_yet_valid`";
    assert!(
        readiness(&scene.edge).contains(line),
        "{}",
        readiness(&scene.edge)
    );
    logs(&scene.edge, "no token of this shop was within its time");
    assert_eq!(metric(&scene.edge).as_deref(), Some("1"));
    assert_eq!(customer.visit(&scene.edge, PAGE), 200);
    is_quiet(&scene.edge);
}

#[test]
fn a_few_expired_tokens_are_no_news_and_many_without_a_good_one_are() {
    let scene = Scene::with("[[shop.route]]\npaths = [\"/*\"]\nenforce = \"valid\"\n");
    let expired = scene.shop.sign(&json!({ "sub": 9, "iat": 1, "exp": 2 }));
    for _ in 0..9 {
        assert_eq!(present(&scene.edge, &expired), 401);
    }
    is_quiet(&scene.edge);
    present(&scene.edge, &expired);
    assert_eq!(metric(&scene.edge).as_deref(), Some("1"));
    logs(&scene.edge, "10 failed with `expired`");
}

#[test]
fn of_several_issuers_the_one_that_verifies_nothing_is_named() {
    let shop = stateless_bagisto();
    let file = private_file("second.secret", OTHER_SECRET);
    let table = keyed(&shop, "");
    let issuers = format!(
        "[[shop.token]]\nalgorithms = [\"HS256\"]\nsecret_file = \"{{secret_file}}\"\n\
         issuer = \"https://first.test\"\n[[shop.token]]\nalgorithms = [\"HS256\"]\n\
         secret_file = \"{file}\"\nissuer = \"https://second.test\"\ntoken_domain = \"second\"\n"
    );
    let edge = Edge::with(&(table + &issuers));
    let of = |issuer: &str| shop.sign(&json!({ "sub": 9, "iat": 1_700_000_000, "iss": issuer }));
    let visits = shop.visits();
    present(&edge, &of("https://first.test"));
    assert_eq!(shop.visits(), visits + 1);
    assert_eq!(present(&edge, &of("https://second.test")), 401);
    let page = readiness(&edge);
    assert!(
        page.contains("[!] tokens of shop main, issuer 2: none has verified"),
        "{page}"
    );
    assert!(!page.contains("issuer 1: none"), "{page}");
    assert!(edge.says("issuer=2"));
}
