//! A logout that was answered is never forgotten: not by a crash, not by a full disk, not by damage.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Customer, Edge, Shop, eventually, raw, request, stateless_bagisto, try_raw};

fn log_out(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    request("POST", "/api/shop/customers/logout", &headers, b"")
}

fn visit(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    request("GET", "/api/shop/customers/profile", &headers, b"")
}

#[test]
fn a_logout_survives_kill_dash_nine() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.log_out(&edge), 200);
    edge.kill_dash_nine();
    edge.restart();
    let visits = shop.visits();
    assert_eq!(alice.visit(&edge, "/api/shop/customers/profile"), 401);
    assert_eq!(shop.visits(), visits, "the shop saw nothing");
}

/// Five times: customers log out as fast as they can until the process is killed in the middle of it.
/// Whoever was answered 200 must be refused by the next process; whoever never logged out must not.
#[test]
fn every_answered_logout_survives_kill_dash_nine_at_any_moment() {
    let shop = stateless_bagisto();
    let config = format!(
        "{}answer = \"local\"\nrevoke = \"token\"\n",
        support::shop_table(&shop)
    );
    let mut edge = Edge::with(&config);
    let innocent = Customer::signed_in(&shop);
    let mut dead = Vec::new();
    for round in 0..5 {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let killed = Arc::new(AtomicBool::new(false));
        let address = edge.address();
        let customers: Vec<_> = (0..4)
            .map(|number| {
                let tokens: Vec<_> = (0..500)
                    .map(|_| shop.sign_in(&format!("customer{number}")))
                    .collect();
                let (answered, killed) = (Arc::clone(&answered), Arc::clone(&killed));
                thread::spawn(move || {
                    for token in tokens {
                        let Ok(answer) = try_raw(address, &log_out(&token)) else {
                            return;
                        };
                        if answer == 200 {
                            answered.lock().unwrap().push(token);
                        }
                        if killed.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                })
            })
            .collect();
        eventually(|| answered.lock().unwrap().len() > 20 + round * 13);
        edge.kill_dash_nine();
        killed.store(true, Ordering::Relaxed);
        for customer in customers {
            customer.join().unwrap();
        }
        dead.append(&mut answered.lock().unwrap());
        edge.restart();
        let visits = shop.visits();
        for token in &dead {
            assert_eq!(raw(edge.address(), &visit(token)), 401, "round {round}");
        }
        assert_eq!(shop.visits(), visits);
        assert_eq!(innocent.visit(&edge, "/api/shop/customers/profile"), 200);
    }
    assert!(
        dead.len() > 200,
        "only {} logouts were answered",
        dead.len()
    );
}

#[test]
fn a_full_disk_makes_logout_503_and_the_token_is_refused_all_the_same() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let (alice, bob) = (
        Customer::named(&shop, "alice"),
        Customer::named(&shop, "bob"),
    );
    edge.limit("--fsize=0:unlimited");
    let answer = alice.log_out(&edge);
    assert_eq!(answer, 503);
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(alice.visit(&edge, "/api/shop/customers/profile"), 401);
    assert_eq!(bob.visit(&edge, "/api/shop/customers/profile"), 200);
    assert!(
        edge.metrics().contains("doorward_journal_writable 0"),
        "{}",
        edge.metrics()
    );
    assert!(
        edge.metrics().contains("doorward_journal_failures_total 1"),
        "{}",
        edge.metrics()
    );
    assert_eq!(edge.ask_operator("/readyz"), 503);
    let said = |edge: &Edge, words: &str| edge.log_lines().iter().any(|line| line.contains(words));
    assert!(said(&edge, "can't be written"));
    edge.limit("--fsize=unlimited:unlimited");
    eventually(|| edge.ask_operator("/readyz") == 200);
    eventually(|| said(&edge, "written again"));
    edge.kill_dash_nine();
    edge.restart();
    assert_eq!(
        alice.visit(&edge, "/api/shop/customers/profile"),
        401,
        "caught up with on disk"
    );
    assert_eq!(bob.log_out(&edge), 200);
}

#[test]
fn a_corrupt_journal_stops_the_start_and_says_what_to_do() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    edge.stop();
    let journal = edge.path("data/journal.redb");
    let mut bytes = fs::read(&journal).unwrap();
    for byte in bytes.iter_mut().step_by(97) {
        *byte ^= 0x55;
    }
    fs::write(&journal, &bytes).unwrap();
    let refused = edge.try_restart().unwrap_err();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("is corrupt"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--all-before now"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read(&journal).unwrap(), bytes, "it is left as it was");
}

#[test]
fn an_emptied_journal_is_not_taken_for_a_new_one() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    edge.stop();
    fs::write(edge.path("data/journal.redb"), b"").unwrap();
    let refused = edge.try_restart().unwrap_err();
    assert!(refused.stderr.contains("is corrupt"), "{}", refused.stderr);
}

/// What a start says that does not find what was written.
#[track_caller]
fn refusal_of(edge: &mut Edge, code: i32) -> String {
    let refused = edge.try_restart().unwrap_err();
    assert_eq!(refused.code, Some(code), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--all-before now"),
        "{}",
        refused.stderr
    );
    refused.stderr
}

/// Whether it says how many rows are missing: the token, the cutoff and its moment, and what names meant then.
fn lacks_rows(refusal: &str) -> bool {
    let missing = refusal.split("lacks the last ").nth(1);
    let rows = missing.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    rows.is_some_and(|rows| rows > 3)
}

#[test]
fn a_journal_that_is_gone_or_older_is_noticed() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    edge.stop();
    let journal = edge.path("data/journal.redb");
    let older = fs::read(&journal).unwrap();
    edge.restart();
    assert_eq!(alice.log_out(&edge), 200);
    edge.stop();
    let newest = fs::read(&journal).unwrap();
    fs::write(&journal, &older).unwrap();
    assert!(lacks_rows(&refusal_of(&mut edge, 1)));
    assert!(lacks_rows(&refusal_of(&mut edge, 1)));
    fs::remove_file(&journal).unwrap();
    assert!(lacks_rows(&refusal_of(&mut edge, 78)));
    assert!(!journal.exists(), "no empty one was made");
    fs::write(&journal, &newest).unwrap();
    edge.restart();
    assert_eq!(alice.visit(&edge, "/cart"), 401);
    edge.stop();
    fs::write(&journal, &older).unwrap();
    fs::remove_file(edge.path("data/journal.mark")).unwrap();
    edge.restart(); // as the operator was told, and wants it
}

/// The byte of redb's file that says which of its last two transactions counts has no checksum.
#[test]
fn a_flipped_bit_after_a_crash_takes_no_logout_back() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    for _ in 0..3 {
        assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    }
    edge.kill_dash_nine();
    let journal = edge.path("data/journal.redb");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[9] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    refusal_of(&mut edge, 1);
}

#[test]
fn a_second_process_on_the_same_journal_is_refused() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let second = edge.command(&["run"]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(
        second.stderr.contains("in use by another process"),
        "{}",
        second.stderr
    );
    assert_eq!(
        Customer::signed_in(&shop).log_out(&edge),
        200,
        "the first serves on"
    );
}

#[test]
fn an_address_in_use_ends_the_start_at_once() {
    let shop = stateless_bagisto();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("listen = [\"{address}\"]\n{}", support::shop_table(&shop));
    let refused = Edge::try_start(&config).err().unwrap();
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(
        refused.stderr.contains(&address.to_string()),
        "{}",
        refused.stderr
    );
}
