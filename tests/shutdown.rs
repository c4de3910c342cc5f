//! The end of the process: customers who were let in are served, nobody waits for longer than was said.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use support::places::{PAGE, open_shop, page};
use support::{
    Connection, Customer, Edge, HeldShop, Manager, Shop, eventually, raw, request, shop_table,
    shop_table_at, try_raw,
};

/// Longer than any test waits.
const NEVER: &str = "[drain]\ntimeout = \"1h\"\n";

/// An edge in front of a shop that answers when the test says so.
fn held(drain: &str) -> (Shop, HeldShop, Edge) {
    let (shop, held) = (open_shop(), HeldShop::open());
    let table = shop_table_at(&shop, &[held.address()]);
    let edge = Edge::with(&format!("{drain}{table}"));
    (shop, held, edge)
}

/// A request that is on its way to the shop.
fn asked(edge: &Edge, held: &HeldShop) -> Connection {
    let before = held.waiting();
    let mut connection = Connection::open(edge.address());
    connection.send(&page());
    eventually(|| held.waiting() > before);
    connection
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let shop = open_shop();
    let mut edge = Edge::with(&format!("{NEVER}{}", shop_table(&shop)));
    let mut used = Connection::open(edge.address());
    assert_eq!(used.ask(&page()), 200);
    let mut silent = Connection::open(edge.address());
    assert_eq!(edge.stop(), Some(0));
    assert!(used.closes());
    assert!(silent.closes());
}

#[test]
fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let (_shop, held, mut edge) = held(NEVER);
    let mut connection = asked(&edge, &held);
    edge.signal("TERM");
    assert!(edge.says("stopping"));
    let address = edge.address();
    eventually(|| TcpStream::connect(address).is_err());
    assert_eq!(
        edge.ask_operator("/readyz"),
        503,
        "the operator is answered"
    );
    held.release();
    let answer = connection.answer();
    assert_eq!(answer.text(), "late");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(edge.ends(), Some(0));
}

#[test]
fn a_newcomer_who_was_let_in_may_still_ask() {
    let (shop, held, mut edge) = held(NEVER);
    let waiting = asked(&edge, &held);
    let mut newcomer = Connection::open(edge.address());
    let mut asked_before = Connection::open(edge.address());
    let refused = request("GET", PAGE, &[("Authorization", "Bearer eyJ9.e30.AA")], b"");
    assert_eq!(
        asked_before.ask(&refused),
        401,
        "the newcomer is let in by now"
    );
    edge.signal("TERM");
    let address = edge.address();
    eventually(|| TcpStream::connect(address).is_err());
    newcomer.send(&request(
        "GET",
        PAGE,
        &[("Authorization", "Bearer eyJ9.e30.AA")],
        b"",
    ));
    let answer = newcomer.answer();
    assert_eq!(answer, 401);
    assert_eq!(answer.header("connection"), Some("close"));
    held.release();
    drop((shop, waiting));
    assert_eq!(edge.ends(), Some(0));
}

#[test]
fn drain_timeout_ends_what_does_not_end_by_itself() {
    let (_shop, held, mut edge) = held("[drain]\ntimeout = \"100ms\"\n");
    let mut connection = asked(&edge, &held);
    assert_eq!(edge.stop(), Some(0));
    assert!(connection.try_answer().is_err());
    let lines = edge.log_lines();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("drain.timeout is over"))
    );
}

#[test]
fn being_told_again_ends_it_at_once() {
    for again in ["TERM", "INT"] {
        let (_shop, held, mut edge) = held(NEVER);
        let _connection = asked(&edge, &held);
        edge.signal("TERM");
        assert!(edge.says("stopping"));
        edge.signal(again);
        assert_eq!(edge.ends(), Some(0), "{again}");
    }
}

#[test]
fn an_interrupt_ends_it_at_once() {
    let (_shop, held, mut edge) = held("[drain]\ndelay = \"1h\"\ntimeout = \"1h\"\n");
    let _connection = asked(&edge, &held);
    edge.signal("INT");
    assert_eq!(edge.ends(), Some(0));
}

#[test]
fn everybody_is_served_during_drain_delay_and_readiness_is_off() {
    let shop = open_shop();
    let mut edge = Edge::with(&format!("[drain]\ndelay = \"1h\"\n{}", shop_table(&shop)));
    let alice = Customer::signed_in(&shop);
    assert_eq!(edge.ask_operator("/readyz"), 200);
    edge.signal("TERM");
    eventually(|| edge.ask_operator("/readyz") == 503);
    assert_eq!(
        edge.ask_operator("/readyz").text(),
        "[-] process: draining\nnot ready\n"
    );
    assert_eq!(edge.ask_operator("/livez"), 200);
    let mut connection = Connection::open(edge.address());
    for _ in 0..2 {
        let answer = connection.ask(&page());
        assert_eq!(answer, 200);
        assert_ne!(answer.header("connection"), Some("close"));
    }
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(alice.visit(&edge, PAGE), 401);
    edge.signal("TERM");
    assert_eq!(edge.ends(), Some(0));
    edge.restart();
    assert_eq!(alice.visit(&edge, PAGE), 401);
    edge.kill_dash_nine();
}

#[test]
fn revocations_are_made_and_kept_until_the_end() {
    let (shop, held, mut edge) = held(NEVER);
    let (alice, bob) = (
        Customer::named(&shop, "alice"),
        Customer::named(&shop, "bob"),
    );
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    let mut logout = Connection::open(edge.address());
    logout.send(&request(
        "POST",
        "/api/shop/customers/logout",
        &headers,
        b"",
    ));
    eventually(|| held.waiting() == 1);
    edge.signal("TERM");
    assert!(edge.says("stopping"));
    let command = ["revoke", "--shop", "main", "--token", "-"];
    let revoked = edge.command_with_input(&command, bob.token().as_bytes());
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    held.release();
    assert_eq!(logout.answer(), 200);
    assert_eq!(edge.ends(), Some(0));
    edge.restart();
    for customer in [alice, bob] {
        assert_eq!(customer.visit(&edge, PAGE), 401);
    }
}

#[test]
fn whoever_comes_after_the_doors_were_closed_is_served_by_the_next_process() {
    let (shop, held) = (open_shop(), HeldShop::open());
    let manager = Arc::new(Manager::new().holding_a_socket());
    let address = manager.address(0);
    let table = shop_table_at(&shop, &[held.address()]);
    let mut edge = Edge::under(
        &manager,
        &format!("listen = [\"{address}\"]\n{NEVER}{table}"),
    );
    let mut early = asked(&edge, &held);
    edge.signal("TERM");
    assert!(edge.says("stopping"));
    // Connections are still taken for a moment, or wait already; none is refused or dropped.
    let late: Vec<_> = (0..20)
        .map(|_| thread::spawn(move || try_raw(address, &page())))
        .collect();
    held.release();
    assert_eq!(early.answer(), 200);
    assert_eq!(edge.ends(), Some(0));
    edge.restart();
    for customer in late {
        assert_eq!(customer.join().unwrap().unwrap(), 200);
    }
    assert_eq!(raw(address, &page()), 200);
}
