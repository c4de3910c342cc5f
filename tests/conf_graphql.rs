//! What an operator may rely on when writing down what a shop says in GraphQL.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;

use doorward::config::{self, Config};
use doorward::request::{Carrier, UnknownHash, UnreadBody};
use http::Method;

/// A shop whose tokens need no key; `lines` are more of it.
fn shop(lines: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\n\
         token.kind = \"opaque\"\n{lines}\n"
    )
}

fn read(lines: &str) -> Result<(Config, String), String> {
    let read = config::parse("doorward.toml", &shop(lines), Path::new(""));
    read.map(|(config, warnings)| (config, warnings.to_string()))
        .map_err(|faults| faults.to_string())
}

#[track_caller]
fn loaded(lines: &str) -> (Config, String) {
    read(lines).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The report of a rule for `/graphql` that says this.
#[track_caller]
fn fault(line: &str) -> String {
    let Err(report) = read(&format!("[[shop.logout]]\npaths = [\"/graphql\"]\n{line}")) else {
        panic!("it loads: {line}");
    };
    report
}

const LOGOUT: &str = "[[shop.logout]]\npaths = \"/graphql\"\ngraphql = \"logout\"\n";

#[test]
fn a_rule_for_graphql_is_about_posts_and_gets() {
    let (config, warnings) = loaded(LOGOUT);
    assert_eq!(warnings, "");
    let call = &config.shops[0].logouts[0].call;
    assert_eq!(call.methods, [Method::POST, Method::GET]);
    assert!(call.graphql.is_some());
    let (config, _) = loaded(&format!("{LOGOUT}methods = [\"POST\"]\n"));
    assert_eq!(config.shops[0].logouts[0].call.methods, [Method::POST]);
    let (config, _) = loaded("[[shop.logout]]\npaths = \"/x\"\n");
    let call = &config.shops[0].logouts[0].call;
    assert!(call.methods == [Method::POST] && call.graphql.is_none());
}

#[test]
fn what_cant_be_examined_is_refused_unless_the_operator_says_otherwise() {
    let (config, _) = loaded("");
    let usual = &config.shops[0].graphql;
    assert_eq!(usual.unknown_hash, UnknownHash::Ask);
    assert_eq!(usual.unread_body, UnreadBody::Refuse);
    let (config, warnings) = loaded(
        "[shop.graphql]\nunknown_hash = \"forward\"\n[shop.limits]\nunread_body = \"forward\"\n",
    );
    let said = &config.shops[0].graphql;
    assert_eq!(said.unknown_hash, UnknownHash::Forward);
    assert_eq!(said.unread_body, UnreadBody::Forward);
    assert_eq!(warnings, "");
}

#[test]
fn an_argument_is_a_place_of_credentials() {
    let (config, _) = loaded(&format!(
        "{LOGOUT}[[shop.credential]]\ngraphql = \"accessToken\"\n"
    ));
    let carrier = &config.shops[0].places[0].carrier;
    assert!(matches!(carrier, Carrier::GraphQl(name) if name == "accessToken"));
}

#[test]
fn a_dead_token_that_could_hide_is_a_warning() {
    let (_, warnings) = loaded(&format!(
        "{LOGOUT}[[shop.credential]]\ngraphql = \"accessToken\"\n[shop.limits]\nunread_body = \"forward\"\n"
    ));
    let expected = "\
warning: a revoked token can hide in a body that is not read
  --> doorward.toml:13:15
   |
13 | unread_body = \"forward\"
   |               ^^^^^^^^^ bodies carry credentials of this shop
";
    assert!(warnings.starts_with(expected), "{warnings}");
    let (_, warnings) = loaded("[[shop.credential]]\ngraphql = \"accessToken\"\n");
    let expected = "\
warning: no rule with `graphql` says which paths are GraphQL
 --> doorward.toml:3:1
  |
3 | [[shop]]
  | ^^^^^^^^
  |
  = help: list the paths in a [[shop.logout]] with `graphql`, or a body that can't be read as GraphQL is forwarded
";
    assert!(warnings.starts_with(expected), "{warnings}");
}

#[test]
fn what_makes_no_sense_is_told() {
    let expected = "\
error: `persisted` without `graphql`
 --> doorward.toml:9:13
  |
9 | persisted = [\"x\"]
  |             ^^^^^
  |
  = help: name the mutation that the documents execute with `graphql`
";
    assert_eq!(fault("persisted = [\"x\"]"), expected);
    for (line, why) in [
        ("graphql = []", "`graphql` names no field"),
        (
            "graphql = \"customer.logout\"",
            "expected the name of a field, such as customerLogout",
        ),
        (
            "graphql = [\"1st\"]",
            "expected the name of a field, such as customerLogout",
        ),
        (
            "graphql = \"\"",
            "expected the name of a field, such as customerLogout",
        ),
        ("graphql = 1", "expected"),
        (
            "graphql = \"a\"\npersisted = [\"\"]",
            "expected the SHA-256 of a document in hexadecimal, or its id",
        ),
        (
            "[[shop.credential]]\ngraphql = \"a-b\"",
            "expected the name of an argument, such as accessToken",
        ),
        (
            "[[shop.credential]]\ngraphql = \"a\"\nquery = \"b\"",
            "can't both be given",
        ),
        (
            "[shop.graphql]\nunknown_hash = \"guess\"",
            "known: ask, forward",
        ),
        (
            "[shop.limits]\nunread_body = \"drop\"",
            "known: refuse, forward",
        ),
        ("[shop.graphql]\nfields = []", "known: unknown_hash"),
    ] {
        let report = fault(line);
        assert!(report.contains(why), "{line}\n{report}");
    }
    let Err(report) = read("[[shop.logout]]\ngraphql = \"logout\"\n") else {
        panic!("a rule without paths loads");
    };
    assert!(report.contains("missing key `paths`"), "{report}");
}
