//! Logouts that count once the shop has said yes.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::SocketAddr;

use support::places::BEARER_JWT;
use support::{
    Answer, Connection, Customer, Edge, Failure, HeldShop, Shop, eventually, request, said,
    stateless_bagisto,
};

const PAGE: &str = "/page";
const LOGOUT: &str = "/bye";

/// A shop without preset whose logout counts then; `more` are further keys of it.
fn table(upstream: SocketAddr, when: &str, more: &str) -> String {
    format!(
        r#"
[[shop]]
name     = "main"
upstream = ["{upstream}"]

{BEARER_JWT}

[[shop.logout]]
paths       = ["{LOGOUT}"]
revoke      = "subject"
revoke_when = "{when}"
status      = 200
answer_body = '{{"ours":true}}'
{more}
"#
    )
}

const AGREED: &str = r#"agreed = { status = ["201"], json = { "/success" = true, "/id" = "*" } }"#;

struct Counter {
    shop: Shop,
    edge: Edge,
}

impl Counter {
    fn with(more: &str) -> Self {
        Self::of("shop-agreed", more)
    }

    fn of(when: &str, more: &str) -> Self {
        let shop = stateless_bagisto();
        shop.recite(PAGE, said(200, "{}"));
        let edge = Edge::with(&table(shop.address(), when, more));
        Self { shop, edge }
    }

    fn log_out(&self, customer: &Customer) -> Answer {
        customer.send(&self.edge, "POST", LOGOUT, b"{}")
    }

    fn is_alive(&self, customer: &Customer) -> bool {
        let visits = self.shop.visits();
        let status = customer.visit(&self.edge, PAGE).status;
        let reached = self.shop.visits() > visits;
        assert_eq!(reached, status == 200, "{status}");
        reached
    }
}

#[test]
fn a_shop_that_says_yes_ends_the_token_and_its_customers_others() {
    let counter = Counter::with(AGREED);
    let yes = r#"{"success":true,"id":7}"#;
    counter.shop.recite(LOGOUT, said(201, yes));
    counter.shop.set_date_offset(-10);
    let tablet = Customer::signed_in(&counter.shop);
    counter.shop.set_date_offset(0);
    let phone = Customer::signed_in(&counter.shop);
    assert!(counter.is_alive(&phone) && counter.is_alive(&tablet));
    let answer = counter.log_out(&phone);
    assert_eq!((answer.status, answer.text().as_str()), (201, yes));
    assert!(!counter.is_alive(&phone) && !counter.is_alive(&tablet));
    assert!(
        counter.is_alive(&Customer::signed_in(&counter.shop)),
        "a new login"
    );
}

#[test]
fn a_shop_that_says_no_is_passed_on_and_nothing_is_revoked() {
    let counter = Counter::with(AGREED);
    let phone = Customer::signed_in(&counter.shop);
    for (status, body) in [
        (201, r#"{"success":false,"id":7}"#),
        (201, r#"{"success":true,"id":null}"#),
        (200, r#"{"success":true,"id":7}"#),
        (201, "yes"),
        (401, r#"{"success":true,"id":7}"#),
        (404, "{}"),
        (500, "{}"),
    ] {
        counter.shop.recite(LOGOUT, said(status, body));
        let answer = counter.log_out(&phone);
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert!(counter.is_alive(&phone), "{status} {body}");
    }
    let metrics = counter.edge.metrics();
    assert!(
        metrics.contains(r#"doorward_logouts_total{shop="main",outcome="declined"} 7"#),
        "{metrics}"
    );
}

#[test]
fn a_shop_that_gives_no_answer_has_not_agreed() {
    let counter = Counter::with(AGREED);
    let phone = Customer::signed_in(&counter.shop);
    counter.shop.fail(Failure::HangUp);
    assert_eq!(counter.log_out(&phone), 502);
    counter.shop.fail(Failure::None);
    assert!(counter.is_alive(&phone));
}

/// The shop's word is in its body: it must not come encoded.
#[test]
fn the_shop_is_asked_for_an_answer_that_can_be_read() {
    let counter = Counter::with(AGREED);
    let phone = Customer::signed_in(&counter.shop);
    let bearer = format!("Bearer {}", phone.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept-Encoding", "gzip, br"),
    ];
    counter.edge.raw(&request("POST", LOGOUT, &headers, b""));
    let seen = counter.shop.seen().pop().unwrap();
    assert_eq!(
        (seen.header("accept-encoding"), seen.header("authorization")),
        (None, Some(bearer.as_str()))
    );
}

/// Recognised at once, `agreed` says which answers of the shop are fit for the customer, whose token is dead.
#[test]
fn at_once_a_no_of_the_shop_is_replaced_by_the_words_of_the_rule() {
    let counter = Counter::of("at-once", AGREED);
    for (body, answer) in [
        (r#"{"success":true,"id":7}"#, r#"{"success":true,"id":7}"#),
        (r#"{"success":false}"#, r#"{"ours":true}"#),
    ] {
        let phone = Customer::signed_in(&counter.shop);
        counter.shop.recite(LOGOUT, said(201, body));
        assert_eq!(counter.log_out(&phone).text(), answer);
        assert!(!counter.is_alive(&phone));
    }
    let logged = |words: &str| {
        counter
            .edge
            .log_lines()
            .iter()
            .any(|line| line.contains(words))
    };
    eventually(|| logged("INFO  the shop has not agreed to the logout"));
    assert!(!logged("WARN  the shop did not answer its logout"));
    counter.shop.recite(LOGOUT, said(500, "{}"));
    assert_eq!(counter.log_out(&Customer::signed_in(&counter.shop)), 200);
    eventually(|| logged("WARN  the shop did not answer its logout"));
}

#[test]
fn a_client_that_hangs_up_cannot_prevent_the_revocation() {
    for when in ["shop-agreed", "at-once"] {
        let held = HeldShop::open();
        let edge = Edge::with(&table(held.address(), when, ""));
        let shop = stateless_bagisto(); // only signs
        shop.set_date_offset(-10);
        let tablet = Customer::signed_in(&shop);
        shop.set_date_offset(0);
        let phone = Customer::signed_in(&shop);
        let bearer = format!("Bearer {}", phone.token());
        let mut connection = Connection::open(edge.address());
        connection.send(&request("POST", LOGOUT, &[("Authorization", &bearer)], b""));
        eventually(|| held.waiting() == 1);
        drop(connection);
        held.release();
        eventually(|| phone.visit(&edge, PAGE) == 401);
        eventually(|| tablet.visit(&edge, PAGE) == 401);
        assert_eq!(Customer::signed_in(&shop).visit(&edge, PAGE), 200, "{when}");
    }
}
