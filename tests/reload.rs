//! Another configuration in the running process: whole or not at all, and nobody notices who is not meant to.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use support::places::{LOGOUT, PAGE, open_shop, page, with_authorization};
use support::{
    Connection, Customer, Edge, HeldShop, Shop, eventually, request, shop_table, shop_table_at,
    try_raw,
};

/// A rule under which the page needs a token.
const CLOSED: &str = "[[shop.route]]\npaths = [\"/*\"]\nenforce = \"required\"\n";

/// What the process itself says of its reloads.
fn reloads(edge: &Edge) -> Value {
    let control = edge.path("data/control.sock");
    let told = edge.command(&["inspect", "--control", control.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    told["reloads"].clone()
}

fn has_logged(edge: &Edge, words: &str) -> bool {
    edge.log_lines().iter().any(|line| line.contains(words))
}

#[test]
fn the_command_and_the_signal_reload_alike() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    assert_eq!(edge.raw(&page()), 200);
    edge.configure(&format!("{}{CLOSED}", shop_table(&shop)));
    assert_eq!(edge.raw(&page()), 200, "nobody was told");
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(reloaded.stdout, "reloaded\n");
    assert_eq!(edge.raw(&page()), 401, "as soon as the command has ended");
    edge.configure(&shop_table(&shop));
    edge.signal("HUP");
    eventually(|| edge.raw(&page()) == 200);
    assert!(has_logged(&edge, "INFO  reloaded shops=1"));
    eventually(|| reloads(&edge)["succeeded"] == json!(2)); // counted after it is served
    let told = reloads(&edge);
    assert_eq!(told["failed"], json!(0));
    assert_eq!(told["last_good"], true);
}

#[test]
fn a_configuration_with_faults_is_reported_as_check_does_and_the_old_one_serves_on() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    edge.configure(&format!(
        "operater_listen = \"x\"\n{}answer = \"maybe\"\n{CLOSED}",
        shop_table(&shop)
    ));
    let control = edge.path("data/control.sock");
    let command = ["reload", "--control", control.to_str().unwrap()];
    let refused = edge.command(&command);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert_eq!(refused.stderr, edge.command(&["check"]).stderr);
    assert!(
        refused.stderr.contains("did you mean `operator_listen`?"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("2 errors"), "{refused:?}");
    assert_eq!(edge.raw(&page()), 200);
    assert!(has_logged(
        &edge,
        "ERROR reload failed; the old configuration stays in use"
    ));
    assert!(has_logged(&edge, "unknown `answer`: `maybe`"));
    assert_eq!(
        edge.command(&["reload"]).code,
        Some(78),
        "without --control"
    );
    assert_eq!(reloads(&edge)["failed"], 2, "each order is counted");
    edge.signal("HUP");
    eventually(|| reloads(&edge)["failed"] == 3);
    edge.configure(&shop_table(&shop));
    assert_eq!(edge.command(&["reload"]).code, Some(0), "once it is mended");
    assert_eq!(reloads(&edge)["last_good"], true);
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let control = edge.path("data/control.sock");
    fs::remove_file(edge.path("doorward.toml")).unwrap();
    let refused = edge.command(&["reload", "--control", control.to_str().unwrap()]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.stderr.contains("can't be read"), "{refused:?}");
    assert_eq!(edge.raw(&page()), 200);
}

#[test]
fn what_needs_a_restart_is_named_and_nothing_is_applied() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let control = edge.path("data/control.sock");
    let command = ["reload", "--control", control.to_str().unwrap()];
    for (key, line) in [
        ("`listen` needs", "listen = [\"127.0.0.1:1\"]"),
        (
            "`operator_listen` needs",
            "operator_listen = \"127.0.0.1:1\"",
        ),
        ("`control` needs", "control = \"{home}/other.sock\""),
        ("`control`, `data_dir` need", "data_dir = \"{home}/other\""),
    ] {
        edge.configure(&format!("{line}\n{}{CLOSED}", shop_table(&shop)));
        let refused = edge.command(&command);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let told = format!("error: {key} a restart");
        assert!(refused.stderr.contains(&told), "{refused:?}");
        assert_eq!(edge.raw(&page()), 200, "{line}");
    }
    assert_eq!(reloads(&edge)["last_good"], false);
}

#[test]
fn warnings_are_told_by_a_reload_too() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    edge.configure(&format!(
        "trusted_proxies = [\"0.0.0.0/0\"]\n{}",
        shop_table(&shop)
    ));
    let control = edge.path("data/control.sock");
    let reloaded = edge.command(&["reload", "--control", control.to_str().unwrap()]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert!(
        reloaded.stderr.contains("every client is a trusted proxy"),
        "{reloaded:?}"
    );
}

#[test]
fn a_withdrawn_key_is_gone_even_for_tokens_that_were_verified_with_it() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.visit(&edge, PAGE), 200);
    fs::write(
        edge.path("jwt.secret"),
        "another secret of at least thirty-two bytes",
    )
    .unwrap();
    assert_eq!(alice.visit(&edge, PAGE), 200, "keys are read at a reload");
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert_eq!(alice.visit(&edge, PAGE), 401);
    fs::write(edge.path("jwt.secret"), Shop::SECRET).unwrap();
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert_eq!(alice.visit(&edge, PAGE), 200, "and back again");
}

#[test]
fn revocations_outlive_reloads() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let (alice, bob) = (
        Customer::named(&shop, "alice"),
        Customer::named(&shop, "bob"),
    );
    assert_eq!(alice.log_out(&edge), 200);
    for _ in 0..3 {
        edge.configure(&format!("{}token.leeway = \"5s\"\n", shop_table(&shop)));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
        assert_eq!(alice.visit(&edge, PAGE), 401);
        assert_eq!(bob.visit(&edge, PAGE), 200);
    }
    assert_eq!(bob.log_out(&edge), 200);
    assert_eq!(bob.visit(&edge, PAGE), 401, "made under the new one");
}

#[test]
fn what_is_in_flight_ends_under_the_configuration_that_it_began_with() {
    let (shop, held) = (open_shop(), HeldShop::open());
    let edge = Edge::with(&shop_table_at(&shop, &[held.address()]));
    let alice = Customer::signed_in(&shop);
    let mut visit = Connection::open(edge.address());
    visit.send(&page());
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    let mut logout = Connection::open(edge.address());
    logout.send(&request("POST", LOGOUT, &headers, b""));
    eventually(|| held.waiting() == 2);
    edge.configure(&format!("{}{CLOSED}", shop_table(&shop)));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert_eq!(alice.visit(&edge, PAGE), 401, "its token is dead already");
    held.release();
    let answer = visit.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert_eq!(logout.answer(), 200);
    assert_eq!(alice.visit(&edge, PAGE), 401);
    assert_eq!(
        visit.ask(&page()),
        401,
        "the same connection, the new configuration"
    );
}

#[test]
fn the_log_level_changes_at_once() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let refused = |path: &str| {
        let bytes = request("GET", path, &[("Authorization", "Bearer eyJ9.e30.AA")], b"");
        assert_eq!(edge.raw(&bytes), 401);
    };
    let level = |level: &str| {
        edge.configure(&format!("log = \"{level}\"\n{}", shop_table(&shop)));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
    };
    level("error");
    refused("/unheard");
    level("debug");
    refused("/heard");
    eventually(|| has_logged(&edge, "path=/heard"));
    assert!(!has_logged(&edge, "path=/unheard"));
}

/// Good and bad files in turn, by signal and by command, while customers come and go.
#[test]
fn a_storm_of_reloads_fails_no_request() {
    let shop = open_shop();
    let edge = Edge::in_front_of(&shop);
    let dead = Customer::named(&shop, "dead");
    assert_eq!(dead.log_out(&edge), 200);
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let address = edge.address();
    let live = shop.sign_in("alice");
    let requests = [
        (with_authorization(&format!("Bearer {live}")), 200),
        (with_authorization(&format!("Bearer {}", dead.token())), 401),
    ];
    let customers: Vec<_> = (0..4)
        .map(|number| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            let (bytes, status) = requests[number % 2].clone();
            thread::spawn(move || {
                let mut kept = Connection::open(address);
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(try_raw(address, &bytes).unwrap(), status);
                    assert_eq!(kept.ask(&bytes), status);
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..30 {
        let faulty = if round % 3 == 2 {
            "operater_listen = 1\n"
        } else {
            ""
        };
        edge.configure(&format!("{faulty}{}", shop_table(&shop)));
        for _ in 0..5 {
            edge.signal("HUP");
        }
        let code = edge.command(&["reload"]).code;
        assert_eq!(code, Some(if faulty.is_empty() { 0 } else { 78 }));
        let so_far = answered.load(Ordering::Relaxed);
        eventually(|| answered.load(Ordering::Relaxed) > so_far + 4);
    }
    over.store(true, Ordering::Relaxed);
    for customer in customers {
        customer.join().unwrap();
    }
}

#[test]
fn who_reloads_nobody_is_told() {
    let shop = open_shop();
    let mut edge = Edge::in_front_of(&shop);
    edge.stop();
    let alone = edge.command(&["reload"]);
    assert_eq!(alone.code, Some(69), "{alone:?}");
    assert!(alone.stderr.contains("is it running"), "{alone:?}");
}
