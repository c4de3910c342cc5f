//! A logout on one node is a 401 on all.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{OWN_LOGOUT, get};
use support::{
    Cluster, Condition, Customer, Exchange, Ledger, LiveShop, Name, PATIENCE, Shop, eventually,
    request, stateless_bagisto,
};

/// Somebody new logs out; whether enough peers had it before the answer.
#[track_caller]
fn log_out(cluster: &Cluster, ledger: &mut Ledger, node: Name) -> bool {
    let shortfalls = || cluster.metric(node, "doorward_ack_shortfalls_total");
    let before = shortfalls();
    ledger.log_out_all(cluster, node, 1);
    shortfalls() <= before
}

#[test]
fn a_logout_on_any_node_is_refused_on_every_node_by_the_time_it_was_promised() {
    let plan = Cluster::of(&["a", "b", "c"])
        .at("a", "ack", "\"all\"")
        .at("b", "ack", "\"one\"")
        .at("c", "ack", "\"local\"");
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let mut in_time = 0;
    for _ in 0..5 {
        if log_out(&cluster, &mut ledger, "a") {
            ledger.check(&cluster);
            in_time += 1;
        }
        ledger.converges(&cluster);
        if log_out(&cluster, &mut ledger, "b") {
            let missing = ["a", "c"].map(|name| ledger.missing_at(&cluster, name));
            assert!(missing.contains(&0), "nobody has it");
            in_time += 1;
        }
        ledger.converges(&cluster);
        log_out(&cluster, &mut ledger, "c");
        ledger.converges(&cluster);
    }
    assert!(
        in_time >= 5,
        "only {in_time} of 10 were acknowledged in time"
    );
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let heard = cluster.metric(to, "doorward_peer_records_total{direction=\"received\"");
        let told = cluster.metric(from, "doorward_peer_records_total{direction=\"sent\"");
        let spread = cluster.metric(to, "doorward_propagation_seconds_count");
        assert!(
            heard >= 10.0 && told >= 10.0 && spread >= 10.0,
            "{heard} {told} {spread}"
        );
    }
}

#[test]
fn every_way_to_revoke_reaches_the_other_node() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    let stays = ledger.spare(&cluster);
    let cut_off = ledger.customer(&cluster);
    let subject = subject_of(cut_off.token());
    let by_id = ledger.customer(&cluster);
    let id = claim(by_id.token(), "jti");
    let by_token = ledger.customer(&cluster);
    eventually(|| doorward::clock::now().seconds() > issued_at(by_token.token())); // a cutoff spares its own second
    let revoke = |how: &[&str], input: &str| {
        let command = [&["revoke", "--shop", "main"], how].concat();
        let outcome = cluster["a"].command_with_input(&command, input.as_bytes());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    };
    revoke(&["--subject", &subject], "");
    revoke(&["--jti", &id, "--issuer", Shop::ISSUER], "");
    revoke(&["--token", "-"], by_token.token());
    let own = ledger.customer(&cluster);
    let bearer = format!("Bearer {}", own.token());
    let logout = request("POST", OWN_LOGOUT, &[("Authorization", &bearer)], b"");
    assert_eq!(cluster["b"].raw(&logout), 200);
    let bearer = format!("Bearer 7|{}", "a1B2c3D4".repeat(6)); // as Sanctum makes them
    let logout = request("POST", OWN_LOGOUT, &[("Authorization", &bearer)], b"");
    assert_eq!(cluster["b"].raw(&logout), 200);
    for customer in [&cut_off, &by_id, &by_token, &own] {
        ledger.buries(customer.token(), "a");
    }
    ledger.converges(&cluster);
    eventually(|| cluster["a"].raw(&get(&[("Authorization", &bearer)])) == 401);
    eventually(|| doorward::clock::now().seconds() > issued_at(stays.token()));
    revoke(&["--all-before", "now", "--yes"], "");
    ledger.buries_all();
    ledger.converges(&cluster);
}

/// A claim of a token, as text.
fn claim(token: &str, name: &str) -> String {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims: serde_json::Value =
        serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap();
    let value = &claims[name];
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn subject_of(token: &str) -> String {
    claim(token, "sub")
}

fn issued_at(token: &str) -> u64 {
    claim(token, "iat").parse().unwrap()
}

#[test]
fn what_was_opened_on_one_node_ends_with_a_logout_on_another_trap_28() {
    let live = LiveShop::beside(stateless_bagisto());
    let cluster = Cluster::of(&["a", "b"]).serving(live.table()).start();
    let open = |name: &str, target: &str| {
        let token = live.shop.sign_in(name);
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let exchange = Exchange::of(cluster["b"].address(), target, &headers);
        eventually(|| live.is_on(name));
        (Customer::holding(&live.shop, token), exchange)
    };
    let (alice, socket) = open("alice", "/socket/alice");
    let (bob, events) = open("bob", "/events/bob");
    let (carol, mut hers) = open("carol", "/events/carol");
    for customer in [&alice, &bob] {
        assert_eq!(customer.log_out(&cluster["a"]), 200);
    }
    let answered = doorward::clock::instant();
    for (name, exchange) in [("alice", socket), ("bob", events)] {
        let (ended, _) = exchange.ends().join().unwrap();
        let wait = ended.saturating_duration_since(answered);
        assert!(wait < PATIENCE / 2, "{name}: {wait:?}");
        eventually(|| live.gone(name).is_some());
    }
    assert!(live.say_event("carol", "still there"));
    hers.hears("still there");
    cluster.between("a", "b", Condition::Cut);
    assert_eq!(carol.log_out(&cluster["a"]), 200);
    cluster.heal();
    hers.ends().join().unwrap();
}

#[test]
fn a_logout_that_no_peer_hears_of_is_answered_and_counted() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    let shortfalls = || cluster.metric("a", "doorward_ack_shortfalls_total");
    let before = shortfalls();
    cluster.between("a", "b", Condition::Frozen);
    ledger.log_out_all(&cluster, "a", 1);
    assert!(shortfalls() > before, "a peer that does not answer");
    ledger.check_at(&cluster, "a");
    cluster.between("a", "b", Condition::Cut);
    eventually(|| cluster.told_by("a").contains("0 of 1"));
    let before = shortfalls();
    ledger.log_out_all(&cluster, "a", 1);
    assert!(shortfalls() > before, "no peer at all");
    assert!(cluster.metric("a", "doorward_peers{state=\"connected\"}") < 1.0);
    cluster.heal();
    ledger.converges(&cluster);
}

/// Whoever listens on the wire, or reads what was logged, learns nothing that opens an account.
#[test]
fn two_nodes_in_plain_text_are_a_cluster_too_and_no_token_travels() {
    let cluster = Cluster::of(&["a", "b"]).in_plain_text().start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let leaves = ledger.customer(&cluster);
    assert_eq!(leaves.log_out(&cluster["a"]), 200);
    ledger.buries(leaves.token(), "a");
    ledger.log_out_all(&cluster, "b", 5);
    ledger.converges(&cluster);
    let id = claim(leaves.token(), "jti");
    let parts = leaves.token().split('.').skip(1).chain([id.as_str()]);
    for (number, part) in parts.enumerate() {
        for (here, there) in [("a", "b"), ("b", "a")] {
            let link = cluster.link(here, there);
            assert!(!link.has_carried(part.as_bytes()), "part {number}");
            let mut lines = cluster[here].log_lines().into_iter();
            assert!(!lines.any(|line| line.contains(part)), "part {number}");
        }
    }
    let bytes = cluster.link("a", "b").bytes() + cluster.link("b", "a").bytes();
    assert!(bytes > 500, "only {bytes} were looked at");
}

#[test]
fn an_operator_sees_the_cluster() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
    for (name, other) in [("a", "b"), ("b", "a")] {
        let told = cluster.told_by(name);
        assert!(told.starts_with("ready; 1 of 1 peers"), "{told}");
        assert!(cluster.logged(name, &["listening", "service=gossip", "address=127.0.0.1:"]));
        assert!(cluster.logged(name, &["peer connected", &format!("peer={other}")]));
        assert!(cluster.logged(name, &["cluster state", "state=syncing", "why="]));
        eventually(|| cluster.logged(name, &["cluster state", "state=ready"]));
        let metrics = cluster[name].metrics();
        for state in ["starting", "restoring", "syncing", "ready", "stale"] {
            let value = u8::from(state == "ready");
            let line = format!("doorward_cluster_state{{state=\"{state}\"}} {value}");
            assert!(
                metrics.lines().any(|given| given == line),
                "{line}\n{metrics}"
            );
        }
        for line in [
            "doorward_peers{state=\"connected\"} 1",
            "doorward_peers{state=\"missing\"} 0",
        ] {
            assert!(
                metrics.lines().any(|given| given == line),
                "{line}\n{metrics}"
            );
        }
        for series in [
            "doorward_propagation_seconds_bucket",
            "doorward_ack_shortfalls_total",
            "doorward_peer_records_total{direction=\"sent\"",
            "doorward_peer_records_total{direction=\"received\"",
            "doorward_peer_capped_total",
            "doorward_peer_throttled_total",
            "doorward_clock_skew_seconds",
            "doorward_repairs_total{level=\"range\"",
            "doorward_repairs_total{level=\"digest\"",
        ] {
            assert!(
                metrics.lines().any(|line| line.starts_with(series)),
                "{series}\n{metrics}"
            );
        }
    }
    let status = cluster["a"].command(&["cluster", "status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(
        status.stdout.contains("ready") && status.stdout.contains('b'),
        "{status:?}"
    );
}
