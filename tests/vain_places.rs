//! A place that never holds a token is logged; a request is counted once; a token without a customer is not revoked by one.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::sync::atomic::Ordering;

use doorward::clock;
use doorward::request::{BodyNeed, BodyPlan, Request, Verdict};
use serde_json::json;
use support::{Customer, Edge, bare_gate, eventually, request, shop_table, stateless_bagisto};

const PLACES: &str = r#"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
header = "x-session"
kind = "jwt"
pattern = 'session-(?<token>.+)'
"#;

#[test]
fn a_place_that_never_holds_a_token_is_named_field_f3() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!("{}{PLACES}", shop_table(&shop)));
    let good = format!("Bearer {}", shop.sign_in("alice"));
    for number in 0..100 {
        let other = format!("other-{number}");
        let headers = [("X-Session", &*other), ("Authorization", &*good)];
        edge.raw(&request("GET", "/cart", &headers, b""));
    }
    edge.raw(&request("GET", "/cart", &[], b""));
    let is_told = |line: &String| line.contains("never holds a token");
    eventually(|| edge.log_lines().iter().any(is_told));
    let told = edge.log_lines();
    let told = told
        .iter()
        .filter(|line| line.contains("never holds a token"));
    assert_eq!(told.count(), 1);
    let metrics = edge.metrics();
    for (place, held, count) in [
        ("header x-session", "unreadable", 100),
        ("header x-session", "token", 0),
        ("header authorization Bearer", "token", 100),
    ] {
        let line = format!(
            "doorward_credential_places_total{{shop=\"main\",place=\"{place}\",held=\"{held}\"}} {count}"
        );
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    let health = edge.ask_operator("/readyz?verbose");
    assert_eq!(health, 200);
    let text = health.text();
    let line = "[!] place of shop main, header x-session: 0 tokens, 100 other values";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_request_whose_body_is_only_swept_is_counted_once() {
    let refresh = "[[shop.credential]]\nbody = \"/refresh_token\"\nat = [\"refresh\"]\n";
    let (gate, _home) = bare_gate(&format!("{PLACES}{refresh}"));
    let shop = &gate.shops()[0];
    let now = clock::now();
    let head = http::Request::post("/cart")
        .header("host", "shop.example.com")
        .header("content-type", "application/json")
        .header("content-length", "2")
        .header("authorization", "Basic YWxpY2U6c2VjcmV0")
        .header("x-session", "other");
    let (head, ()) = head.body(()).unwrap().into_parts();
    let arrived = gate.arrive(&Request::new(&head, None));
    let plan = arrived.and_then(|arrived| arrived.body_plan(now));
    let Ok(BodyPlan {
        need: BodyNeed::Sweep,
        is_counted: true,
        ..
    }) = plan
    else {
        panic!("judged by its head, and then by its body");
    };
    let Ok(mut arrived) = gate.arrive(&Request::new(&head, Some(b"{}"))) else {
        panic!("every host is the shop's");
    };
    arrived.note_counted();
    assert!(matches!(arrived.judge(now), Ok(Verdict::Forward { .. })));
    assert_eq!(shop.judged.load(Ordering::Relaxed), 1);
    let unreadable = shop.places.iter().map(|place| place.counts.unreadable());
    assert_eq!(unreadable.collect::<Vec<_>>(), [1, 1, 0]);
}

#[test]
fn a_token_without_a_customer_can_be_revoked_by_the_operator_only_field_f8() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "{}token.revocable_with = [\"/sub\"]\n",
        shop_table(&shop)
    ));
    let claims = json!({"jti": "everybodys", "iat": 1_790_000_000, "exp": 4_000_000_000_u64});
    let public = Customer::holding(&shop, shop.sign(&claims));
    let reaches = || {
        let visits = shop.visits();
        public.visit(&edge, "/cart");
        shop.visits() > visits
    };
    assert!(reaches());
    assert_eq!(public.log_out(&edge), 400, "no credential of a customer");
    assert!(reaches());
    let revoke = ["revoke", "--shop", "main", "--token", "-"];
    let revoked = edge.command_with_input(&revoke, public.token().as_bytes());
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert!(!reaches(), "the operator may");
}
