//! Tokens that say nothing of their issue: they are dated by whoever sees them, or sees them handed out.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::json;
use support::{
    Answer, Cluster, Edge, Shop, asked_shop_table, eventually, request, said, said_with,
    shop_table, stateless_bagisto,
};

const ASK: &str = "/who";
const PAGE: &str = "/page";
const LOGOUT: &str = "/bye";

const PHONE: &str = "phone-0123456789abcdef";
const TABLET: &str = "tablet-0123456789abcdef";
const LATER: &str = "later-0123456789abcdef0";

/// A shop that is asked whose an opaque token is. `of_token` and `more` are further keys and tables.
fn opaque_table(shop: &Shop, of_token: &str, more: &str) -> String {
    let of_token = format!("opaque_pattern = '[a-z0-9-]{{20,}}'\n{of_token}");
    let ask = format!(
        "path = \"{ASK}\"\nactive = {{ json = {{ \"/good\" = true }} }}\nsubject = \"/id\""
    );
    let table = asked_shop_table(shop.address(), &of_token, &ask);
    format!(
        "{table}\n[[shop.logout]]\npaths = [\"{LOGOUT}\"]\nrevoke = \"subject\"\nanswer = \"local\"\n{more}"
    )
}

/// A Bagisto shop as documented: JWTs with a customer and without `iat`, and `revoke = "subject"`.
fn jwt_table(shop: &Shop, more: &str) -> String {
    shop_table(shop) + "answer = \"local\"\n" + more
}

fn page_and_customer(shop: &Shop, customer: &str) {
    shop.recite(PAGE, said(200, "{}"));
    let who = json!({"good": true, "id": customer}).to_string();
    shop.recite(ASK, said(200, &who));
}

fn ask(edge: &Edge, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Content-Type", "application/json"),
    ];
    edge.raw(&request(method, path, &headers, b""))
}

fn visit(edge: &Edge, token: &str) -> u16 {
    ask(edge, "GET", PAGE, token).status
}

fn log_out(edge: &Edge, token: &str) -> u16 {
    ask(edge, "POST", LOGOUT, token).status
}

/// A token of the customer's, unlike all with another number, as the documentation shows it.
fn jwt(shop: &Shop, number: u32) -> String {
    shop.sign(&json!({"sub": 10, "email": "john@example.com", "device": number}))
}

fn log_out_of_bagisto(edge: &Edge, token: &str) -> u16 {
    ask(edge, "POST", "/api/shop/customers/logout", token).status
}

/// How many there are of a kind, by the metrics.
fn held(edge: &Edge, kind: &str) -> u64 {
    let name = format!("doorward_revocations{{kind=\"{kind}\"}} ");
    let metrics = edge.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_default().parse().unwrap_or_default()
}

/// The value of a sample that begins so.
fn counted(edge: &Edge, begins: &str) -> u64 {
    let metrics = edge.metrics();
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(begins)?.rsplit(' ').next());
    line.unwrap_or_default().parse().unwrap_or_default()
}

#[test]
fn a_session_that_was_seen_ends_after_a_restart_attacks_a6() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let mut edge = Edge::with(&opaque_table(&shop, "", ""));
    assert_eq!(visit(&edge, TABLET), 200);
    edge.restart();
    assert_eq!(held(&edge, "seen"), 1);
    assert_eq!(log_out(&edge, PHONE), 200);
    assert_eq!(visit(&edge, TABLET), 401);
    assert_eq!(visit(&edge, LATER), 200, "a login after the logout");
    edge.kill_dash_nine();
    edge.restart();
    assert_eq!(visit(&edge, TABLET), 401);
}

#[test]
fn a_session_that_was_seen_ends_after_64_newer_ones_attacks_a6() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let edge = Edge::with(&opaque_table(&shop, "", ""));
    let newer = |number: u32| format!("newer-0123456789-{number:04}");
    assert_eq!(visit(&edge, TABLET), 200);
    for number in 0..70 {
        assert_eq!(visit(&edge, &newer(number)), 200);
    }
    assert_eq!(log_out(&edge, PHONE), 200);
    assert_eq!(visit(&edge, TABLET), 401);
    assert_eq!(
        (visit(&edge, &newer(0)), visit(&edge, &newer(69))),
        (401, 401)
    );
    assert_eq!(visit(&edge, LATER), 200);
}

#[test]
fn a_session_that_another_node_saw_ends_everywhere_attacks_a6() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let cluster = Cluster::of(&["a", "b"])
        .serving(opaque_table(&shop, "", ""))
        .start();
    let (a, b) = (&cluster["a"], &cluster["b"]);
    assert_eq!(visit(b, TABLET), 200);
    eventually(|| held(a, "seen") == 1);
    assert_eq!(log_out(a, PHONE), 200);
    assert_eq!((visit(a, TABLET), visit(b, TABLET)), (401, 401));
    assert_eq!((visit(b, LATER), visit(a, LATER)), (200, 200));
    assert_eq!(log_out(b, LATER), 200);
    assert_eq!((visit(a, LATER), visit(b, LATER)), (401, 401));
}

/// A token that nobody vouched for leaves nothing behind.
#[test]
fn an_unverified_token_is_not_dated_attacks_a6() {
    let shop = stateless_bagisto();
    shop.recite(PAGE, said(200, "{}"));
    shop.recite(ASK, said(200, r#"{"good": false}"#));
    let edge = Edge::with(&opaque_table(&shop, "", ""));
    for number in 0..50 {
        assert_eq!(visit(&edge, &format!("junk-0123456789-{number:05}")), 200);
    }
    assert_eq!(held(&edge, "seen"), 0);
}

#[test]
fn a_login_after_a_logout_passes_without_iat_attacks_b2() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "10");
    let mut edge = Edge::with(&jwt_table(&shop, ""));
    let [phone, tablet, later, last] = [1, 2, 3, 4].map(|number| jwt(&shop, number));
    assert_eq!((visit(&edge, &phone), visit(&edge, &tablet)), (200, 200));
    assert_eq!(log_out_of_bagisto(&edge, &phone), 200);
    assert_eq!((visit(&edge, &phone), visit(&edge, &tablet)), (401, 401));
    assert_eq!(
        visit(&edge, &later),
        200,
        "a login in the second of the logout"
    );
    edge.restart();
    assert_eq!((visit(&edge, &phone), visit(&edge, &tablet)), (401, 401));
    assert_eq!(visit(&edge, &later), 200);
    assert_eq!(log_out_of_bagisto(&edge, &later), 200);
    assert_eq!(visit(&edge, &later), 401);
    assert_eq!(visit(&edge, &last), 200, "and again");
    assert_eq!(held(&edge, "seen"), 4);
}

#[test]
fn an_operator_ends_what_was_seen_and_no_login_after_it_attacks_b2() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "10");
    let edge = Edge::with(&jwt_table(&shop, ""));
    let [phone, later] = [1, 2].map(|number| jwt(&shop, number));
    assert_eq!(visit(&edge, &phone), 200);
    let revoked = edge.command(&["revoke", "--shop", "main", "--subject", "10"]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    assert_eq!((visit(&edge, &phone), visit(&edge, &later)), (401, 200));
}

/// With `unknown_issue_time = "new"` an undated token is new; what that gives up is counted.
#[test]
fn an_unknown_token_is_new_unless_every_login_passes_here() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "10");
    let [phone, unknown] = [1, 2].map(|number| jwt(&shop, number));
    let edge = Edge::with(&jwt_table(&shop, ""));
    assert_eq!(log_out_of_bagisto(&edge, &phone), 200);
    assert_eq!(visit(&edge, &unknown), 200);
    assert_eq!(
        counted(&edge, "doorward_unknown_tokens_total{counted_as=\"new\"}"),
        1
    );
    let edge = Edge::with(&jwt_table(&shop, "token.unknown_issue_time = \"old\"\n"));
    assert_eq!(
        visit(&edge, &unknown),
        200,
        "its customer has not logged out"
    );
    assert_eq!(log_out_of_bagisto(&edge, &phone), 200);
    let never_seen = jwt(&shop, 3);
    assert_eq!(
        (visit(&edge, &unknown), visit(&edge, &never_seen)),
        (401, 401)
    );
    assert_eq!(
        counted(&edge, "doorward_unknown_tokens_total{counted_as=\"old\"}"),
        1
    );
    let lines = edge.log_lines();
    let of_unknown = |line: &&String| line.contains("reason=unknown_issue");
    assert_eq!(lines.iter().filter(of_unknown).count(), 1);
}

/// Rules of an opaque shop that say where each kind of answer carries the token.
const TOKEN_ENDPOINTS: &str = r#"
[[shop.token_endpoint]]
paths = ["/login/json"]
token = { json = ["/data/token"], subject = "/data/id" }

[[shop.token_endpoint]]
paths = ["/login/header"]
token = { header = ["x-auth-token"] }

[[shop.token_endpoint]]
paths = ["/login/cookie"]
token = { cookie = ["session"] }
"#;

fn log_in(edge: &Edge, path: &str) -> Answer {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Accept-Encoding", "gzip"),
    ];
    edge.raw(&request("POST", path, &headers, b"{}"))
}

/// Where every login passes here, what one hands out is new, and everything else is old.
#[test]
fn what_a_login_hands_out_is_new_by_json_by_header_and_by_cookie() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let edge = Edge::with(&opaque_table(
        &shop,
        "unknown_issue_time = \"old\"",
        TOKEN_ENDPOINTS,
    ));
    assert_eq!(log_out(&edge, PHONE), 200);
    let token = |number: u32| format!("fresh-0123456789-{number:04}");
    let json = json!({"data": {"token": token(1), "id": 7}}).to_string();
    let behind_a_mark = format!("\u{feff}{json}"); // as some PHP answers
    shop.recite("/login/json", said(200, &behind_a_mark));
    let line = format!("X-Auth-Token: Bearer {}\r\n", token(2));
    shop.recite("/login/header", said_with(200, &line, "{}"));
    let line = format!("Set-Cookie: session={}; Path=/; HttpOnly\r\n", token(3));
    shop.recite("/login/cookie", said_with(303, &line, ""));
    for path in ["/login/json", "/login/header", "/login/cookie"] {
        assert!(log_in(&edge, path).status < 400, "{path}");
    }
    let [json, header, cookie, none] = [1, 2, 3, 4].map(|number| visit(&edge, &token(number)));
    assert_eq!((json, header, cookie, none), (200, 200, 200, 401));
    assert_eq!(held(&edge, "issued"), 3);
    let asked = shop.seen();
    let login = asked
        .iter()
        .find(|one| one.target == "/login/json")
        .unwrap();
    assert_eq!(
        login.header("accept-encoding"),
        None,
        "the answer must be read"
    );
}

/// The token is on disk and at the other node before its customer has it.
#[test]
fn a_login_at_one_node_counts_at_the_other_at_once() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "10");
    let table = jwt_table(&shop, "token.unknown_issue_time = \"old\"\n");
    let mut cluster = Cluster::of(&["a", "b"]).serving(table).start();
    let phone = jwt(&shop, 0);
    assert_eq!(log_out_of_bagisto(&cluster["a"], &phone), 200);
    for number in 1..6 {
        let token = jwt(&shop, number);
        let login = json!({"data": {"token": token}}).to_string();
        shop.recite("/api/shop/customers/login", said(200, &login));
        let answer = log_in(&cluster["b"], "/api/shop/customers/login");
        assert_eq!((answer.status, answer.text()), (200, login));
        assert_eq!(visit(&cluster["a"], &token), 200, "login {number}");
    }
    let never_issued = jwt(&shop, 9);
    assert_eq!(visit(&cluster["a"], &never_issued), 401);
    let last = jwt(&shop, 5);
    cluster.kill("b");
    cluster.start(&["b"]);
    eventually(|| visit(&cluster["b"], &last) == 200);
    assert_eq!(visit(&cluster["b"], &never_issued), 401);
}

#[test]
fn an_answer_that_cannot_be_read_passes_and_is_counted() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let edge = Edge::with(&opaque_table(&shop, "", TOKEN_ENDPOINTS));
    let long = json!({"data": {"token": TABLET}, "more": "x".repeat(70_000)}).to_string();
    let unread = "doorward_token_endpoint_answers_total{shop=\"main\",outcome=\"unread\"}";
    for (number, answer) in [
        said(200, &long),
        said_with(200, "Content-Encoding: gzip\r\n", "no gzip"),
        said_with(200, "Content-Type: text/event-stream\r\n", "data: x\n\n"),
        said(200, "<p>welcome</p>"),
    ]
    .into_iter()
    .enumerate()
    {
        shop.recite("/login/json", answer.clone());
        let passed = log_in(&edge, "/login/json");
        assert_eq!(passed.status, 200);
        assert!(answer.ends_with(&passed.text()), "it came changed");
        assert_eq!(counted(&edge, unread), number as u64 + 1);
    }
    shop.recite("/login/json", said(401, "{}"));
    assert_eq!(log_in(&edge, "/login/json"), 401);
    assert_eq!(
        counted(&edge, unread),
        4,
        "a login that failed hands out nothing"
    );
    assert_eq!(held(&edge, "issued"), 0);
}

/// A shop that answers every login with the same token.
#[test]
fn a_dead_token_that_is_handed_out_again_stays_dead_field_f7() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let edge = Edge::with(&opaque_table(&shop, "", TOKEN_ENDPOINTS));
    let login = json!({"data": {"token": PHONE, "id": 7}}).to_string();
    shop.recite("/login/json", said(200, &login));
    log_in(&edge, "/login/json");
    assert_eq!((visit(&edge, PHONE), log_out(&edge, PHONE)), (200, 200));
    assert_eq!(log_in(&edge, "/login/json").text(), login);
    assert_eq!(visit(&edge, PHONE), 401);
    let refused = "doorward_reissued_tokens_total{shop=\"main\",outcome=\"refused\"}";
    assert_eq!(counted(&edge, refused), 1);
    let says = "the shop issued a token that is revoked";
    let lines = edge.log_lines();
    assert!(lines.iter().any(|line| line.contains(says)));
    assert!(lines.iter().all(|line| !line.contains(PHONE)));
}

/// A shop whose word that a token lives again counts.
fn reviving_table(shop: &Shop) -> String {
    let revives = "name = \"main\"\non_reissue = \"revive\"";
    opaque_table(shop, "", TOKEN_ENDPOINTS).replace("name     = \"main\"", revives)
}

#[test]
fn a_dead_token_that_is_handed_out_again_may_live_until_the_next_logout_field_f7() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let table = reviving_table(&shop);
    let cluster = Cluster::of(&["a", "b"]).serving(table).start();
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let login = json!({"data": {"token": PHONE, "id": 7}}).to_string();
    shop.recite("/login/json", said(200, &login));
    log_in(a, "/login/json");
    assert_eq!(visit(a, TABLET), 200);
    for (here, there) in [(a, b), (b, a), (a, b)] {
        assert_eq!((visit(here, PHONE), visit(there, PHONE)), (200, 200));
        assert_eq!(log_out(here, PHONE), 200);
        assert_eq!((visit(here, PHONE), visit(there, PHONE)), (401, 401));
        assert_eq!(visit(there, TABLET), 401, "nobody handed that out again");
        log_in(there, "/login/json");
    }
    assert_eq!(held(a, "revived"), 1);
}

/// An answer that does not say whose the token is: a logout of its customer's may have ended it.
#[test]
fn what_a_customers_logout_ended_lives_when_it_is_handed_out_again_field_f7() {
    let shop = stateless_bagisto();
    page_and_customer(&shop, "7");
    let table = reviving_table(&shop);
    let edge = Edge::with(&table);
    let line = format!("X-Auth-Token: Bearer {TABLET}\r\n");
    shop.recite("/login/header", said_with(200, &line, "{}"));
    log_in(&edge, "/login/header");
    assert_eq!((visit(&edge, TABLET), visit(&edge, LATER)), (200, 200));
    assert_eq!(log_out(&edge, PHONE), 200);
    assert_eq!((visit(&edge, TABLET), visit(&edge, LATER)), (401, 401));
    log_in(&edge, "/login/header");
    assert_eq!((visit(&edge, TABLET), visit(&edge, LATER)), (200, 401));
}
