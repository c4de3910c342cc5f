//! The script for Ecwid as browsers and caches are handed it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Answer, Customer, Edge, request, shop_table, stateless_bagisto};

const SCRIPT: &str = "/_doorward/ecwid.js";

fn ask(edge: &Edge, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request(method, target, headers, b""))
}

#[track_caller]
fn is_the_script(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("signOut"), "{}", answer.text());
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "public, max-age=300, must-revalidate"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.headers_named("set-cookie").is_empty());
    let tag = answer.header("etag").unwrap();
    assert!(
        tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'),
        "{tag}"
    );
    assert!(answer.header("date").is_some());
}

#[test]
fn every_shop_has_it_and_no_shop_sees_who_asks() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for target in [
        SCRIPT,
        "/_doorward/ecwid.js?v=7",
        "//_doorward/./ecwid.js",
        "/_doorward/%65cwid.js",
    ] {
        is_the_script(&ask(&edge, "GET", target, &[]));
    }
    let first = ask(&edge, "GET", SCRIPT, &[]);
    let head = ask(&edge, "HEAD", SCRIPT, &[]);
    assert_eq!(head, 200);
    assert!(head.body.is_empty());
    for name in ["etag", "content-type", "content-length", "cache-control"] {
        assert_eq!(head.header(name), first.header(name), "{name}");
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn whose_token_is_dead_or_odd_gets_it_too() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.log_out(&edge), 200);
    let bearer = format!("Bearer {}", alice.token());
    for headers in [
        vec![("Authorization", bearer.as_str())],
        vec![("Authorization", "Bearer a.b.c")],
        vec![("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
    ] {
        is_the_script(&ask(&edge, "GET", SCRIPT, &headers));
    }
}

#[test]
fn who_has_it_already_is_told_so() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let tag = ask(&edge, "GET", SCRIPT, &[]);
    let tag = tag.header("etag").unwrap();
    let (weak, list) = (format!("W/{tag}"), format!("\"other\", {tag}"));
    for method in ["GET", "HEAD"] {
        for known in [tag, &weak, &list, "*"] {
            let answer = ask(&edge, method, SCRIPT, &[("If-None-Match", known)]);
            assert_eq!(answer, 304, "{known}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), Some(tag), "{known}");
            assert_eq!(
                answer.header("cache-control"),
                Some("public, max-age=300, must-revalidate")
            );
            assert_eq!(answer.header("content-length"), None);
        }
    }
    for other in ["\"other\"", "", "W/\"other\"", tag.trim_matches('"')] {
        is_the_script(&ask(&edge, "GET", SCRIPT, &[("If-None-Match", other)]));
    }
    let again = Edge::in_front_of(&shop);
    let same = ask(&again, "GET", SCRIPT, &[]);
    assert_eq!(same.header("etag"), Some(tag), "every node has the same");
}

#[test]
fn it_is_only_read() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(&edge, method, SCRIPT, &[]);
        let allowed = answer.header("allow");
        assert_eq!(
            (answer.status, allowed),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn it_stands_in_the_operators_folder() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!("prefix = \"/gate/keeper\"\n{}", shop_table(&shop)));
    is_the_script(&ask(&edge, "GET", "/gate/keeper/ecwid.js", &[]));
    assert_eq!(shop.visits(), 0);
    assert_eq!(ask(&edge, "GET", SCRIPT, &[]), 404, "the shop's word");
    assert_eq!(shop.visits(), 1);
}

/// Pages whose policy is `script-src 'self'` run it: no code that comes from text.
#[test]
fn it_evaluates_nothing() {
    let text = include_str!("../src/server/proxy/answer/ecwid.js");
    for word in [
        "eval(",
        "new Function",
        "innerHTML",
        "document.write",
        "http://",
        "https://",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}
