//! Nodes that share their logouts by a stream of Redis, beside their connections or instead of them.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use support::{Cluster, Condition, Crowd, Ledger, Name, Plan, RedisServer, STREAM, eventually};

/// Nodes that hear each other by this bus only.
fn on_the_bus(names: &[Name], bus: &RedisServer) -> Plan {
    let plan = Cluster::of(names).everywhere("peers", "[]");
    plan.everywhere("bus", &bus.bus(""))
}

/// It is so, and stays so for longer than anybody may be silent.
#[track_caller]
fn stays_so(mut so: impl FnMut() -> bool) {
    let since = clock::instant();
    eventually(|| {
        assert!(so(), "it did not stay so");
        clock::instant().duration_since(since).as_secs() >= 7
    });
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_logout_on_one_node_is_refused_on_every_other_by_the_bus_alone() {
    let bus = RedisServer::start();
    let cluster = on_the_bus(&["a", "b", "c"], &bus).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for name in ["a", "b", "c"] {
        ledger.log_out_all(&cluster, name, 5);
        ledger.converges(&cluster);
    }
    for name in ["a", "b", "c"] {
        let spread = cluster.metric(name, "doorward_propagation_seconds_count");
        assert!(spread >= 10.0, "{name} was acknowledged {spread} times");
        let shortfalls = cluster.metric(name, "doorward_ack_shortfalls_total");
        assert!(shortfalls < 3.0, "{name}: {shortfalls}"); // on a slow machine
        for (metric, value) in [
            ("connected", 1.0),
            ("resets_total", 0.0),
            ("skipped_total", 0.0),
        ] {
            let found = cluster.metric(name, &format!("doorward_bus_{metric}"));
            assert!((found - value).abs() < 0.1, "{name} {metric}: {found}");
        }
        eventually(|| cluster.logged(name, &["bus connected", "bus=127.0.0.1:"]));
    }
}

#[test]
fn no_credential_is_ever_on_the_bus() {
    let bus = RedisServer::start();
    let cluster = on_the_bus(&["a", "b"], &bus).start();
    let mut ledger = Ledger::default();
    let customer = ledger.customer(&cluster);
    assert_eq!(customer.log_out(&cluster["a"]), 200);
    ledger.buries(customer.token(), "a");
    ledger.converges(&cluster);
    let keys = bus.keys();
    assert!(keys.iter().all(|key| key.starts_with(STREAM)), "{keys:?}");
    let bytes = bus.bytes();
    assert!(has(&bytes, b"frame"));
    let parts = customer.token().split('.').chain([customer.token()]);
    for part in parts {
        assert!(!has(&bytes, part.as_bytes()), "{part}");
    }
}

#[test]
fn the_first_node_of_all_is_ready_alone_and_again_after_a_restart() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a"], &bus).furnish();
    cluster.found(&["a"]);
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "a", 2);
    cluster.kill("a");
    cluster.start(&["a"]);
    assert!(!cluster.is_ready("a"), "it listens for others first");
    cluster.comes_to(
        "a",
        "ready; 0 of 0 peers; the journal is complete, and no other node is on the bus",
    );
    ledger.check(&cluster);
}

#[test]
fn nodes_that_start_together_compare_what_they_have() {
    let bus = RedisServer::start();
    let plan = on_the_bus(&["a", "b", "c"], &bus).everywhere("ack", "\"local\"");
    let mut cluster = plan.everywhere("bootstrap_timeout", "\"1m\"").start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    bus.signal("STOP");
    for name in ["a", "b", "c"] {
        ledger.log_out_all(&cluster, name, 3);
    }
    for name in ["a", "b", "c"] {
        cluster.kill(name);
    }
    bus.signal("CONT");
    cluster.begin(&["a", "b", "c"]);
    for name in ["c", "b", "a"] {
        cluster.comes_up(name).unwrap();
    }
    ledger.check(&cluster);
    cluster.form(&["a", "b", "c"]);
    ledger.check(&cluster);
}

/// The one who took the logouts is gone for good; what it wrote to the bus is there.
#[test]
fn a_restarted_node_goes_on_where_it_had_read_the_bus() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a", "b"], &bus).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 2);
    ledger.converges(&cluster);
    cluster.stop("b");
    ledger.log_out_all(&cluster, "a", 5);
    let written = bus.entries();
    eventually(|| bus.entries() >= written + 2); // it writes in its order, and that it lives every second
    cluster.kill("a");
    cluster.start(&["b"]);
    ledger.check(&cluster);
    cluster.comes_to("b", "stale; 0 of 1 peers; a may have taken logouts");
    assert!(cluster.is_ready("b"), "it serves by on_stale");
    assert_eq!(ledger.missing_at(&cluster, "b"), 0);
    cluster.start(&["a"]);
    cluster.form(&["a", "b"]);
    ledger.log_out_all(&cluster, "b", 1);
    ledger.converges(&cluster);
}

#[test]
fn a_node_alone_does_not_trust_a_bus_that_lost_what_it_had_not_read() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a", "b"], &bus).start();
    let mut ledger = Ledger::default();
    let alive = ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
    cluster.kill("b");
    ledger.log_out_all(&cluster, "a", 5);
    cluster.kill("a");
    bus.ask(&["XTRIM", STREAM, "MAXLEN", "0"]);
    cluster.start(&["b"]);
    cluster.comes_to("b", "syncing; 0 of 0 peers; no node is ready");
    stays_so(|| alive.visit(&cluster["b"], "/cart") == 503);
    assert!(
        cluster.told_by("b").contains("the bus has lost"),
        "{}",
        cluster.told_by("b")
    );
    assert!(cluster.metric("b", "doorward_bus_resets_total") >= 1.0);
    cluster.start(&["a"]);
    ledger.converges(&cluster);
}

#[test]
fn a_node_that_stops_says_goodbye_and_one_that_falls_is_missed() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a", "b", "c"], &bus).start();
    let mut ledger = Ledger::default();
    ledger.log_out_all(&cluster, "b", 2);
    ledger.converges(&cluster);
    cluster.stop("b");
    stays_so(|| {
        ["a", "c"]
            .iter()
            .all(|name| cluster.told_by(name).starts_with("ready"))
    });
    cluster.kill("c");
    cluster.comes_to("a", "stale");
    cluster.start(&["c", "b"]);
    cluster.form(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        ledger.log_out_all(&cluster, name, 1);
    }
    for name in ["b", "a", "c"] {
        cluster.stop(name);
    }
    cluster.start(&["b"]);
    cluster.comes_to("b", "ready"); // what the others told before they stopped is on the bus
    assert_eq!(ledger.missing_at(&cluster, "b"), 0);
}

#[test]
fn a_node_that_stood_still_accepts_nothing_that_died_meanwhile() {
    let bus = RedisServer::start();
    let mut cluster = on_the_bus(&["a", "b"], &bus).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    let dead: Vec<_> = (0..4).map(|_| ledger.customer(&cluster)).collect();
    cluster.pause("b");
    let paused = clock::instant();
    for customer in &dead {
        assert_eq!(customer.log_out(&cluster["a"]), 200);
        ledger.buries(customer.token(), "a");
    }
    eventually(|| clock::instant().duration_since(paused).as_millis() > 6500);
    cluster.resume("b");
    for customer in &dead {
        let answer = customer.visit(&cluster["b"], "/cart");
        assert!(answer == 503 || answer == 401, "{}", answer.text());
    }
    cluster.form(&["a", "b"]);
    ledger.converges(&cluster);
}

/// Two regions of two nodes; one of each is on the bus.
#[test]
fn a_bridge_brings_what_happens_in_one_region_to_the_other() {
    let bus = RedisServer::start();
    let mut cluster = Cluster::of(&["a", "b", "c", "d"]).furnish();
    let peer = |from: Name, to: Name| format!("[\"{}\"]", cluster.link(from, to).address());
    let peers = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
        .map(|(one, other)| (one, peer(one, other)));
    for is_first in [true, false] {
        for (name, peers) in &peers {
            let mut keys = vec![("peers", peers.as_str())];
            let url = bus.bus("");
            if ["b", "c"].contains(name) {
                keys.push(("bus", &url));
            }
            if is_first && *name == "a" {
                keys.push(("new_cluster", "true"));
            }
            cluster.configure(name, &keys);
        }
        if is_first {
            cluster.start(&["a", "b", "c", "d"]);
            for name in ["a", "b", "c", "d"] {
                cluster.comes_to(name, "ready");
            }
        }
    }
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for (here, there) in [("a", "d"), ("d", "a"), ("b", "c"), ("c", "b")] {
        ledger.log_out_all(&cluster, here, 3);
        let since = clock::instant();
        eventually(|| ledger.missing_at(&cluster, there) == 0);
        let took = clock::instant().duration_since(since);
        eprintln!("from {here} to {there} in {took:?}");
        assert!(took.as_secs() < 6, "{took:?}");
    }
    ledger.converges(&cluster);
    cluster.kill("a");
    for name in ["b", "c", "d"] {
        cluster.comes_to(name, "stale"); // it is missed in the other region, too
    }
    cluster.start(&["a"]);
    ledger.converges(&cluster);
}

#[test]
fn the_bus_takes_over_where_connections_break_and_they_where_it_does() {
    let mut bus = RedisServer::start();
    let plan = Cluster::of(&["a", "b", "c"]).everywhere("bus", &bus.bus(""));
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    ledger.converges(&cluster);
    let all_are_ready = || {
        ["a", "b", "c"]
            .iter()
            .all(|name| cluster.told_by(name).starts_with("ready; 2 of 2"))
    };
    let nobody_is_stale = || {
        ["a", "b", "c"]
            .iter()
            .all(|name| cluster.told_by(name).starts_with("ready"))
    };
    cluster.partition(&["a"], &["b", "c"]);
    ledger.log_out_all(&cluster, "a", 3);
    stays_so(nobody_is_stale);
    eventually(all_are_ready);
    ledger.log_out_all(&cluster, "b", 3);
    ledger.converges(&cluster);
    cluster.heal();
    eventually(|| {
        let lines = cluster["a"].log_lines();
        let connected = lines.iter().filter(|line| line.contains("peer connected"));
        connected.count() >= 6 // by connections, by the bus, by connections
    });
    eventually(all_are_ready);
    bus.kill();
    ledger.log_out_all(&cluster, "c", 3);
    stays_so(nobody_is_stale);
    ledger.converges(&cluster);
}

#[test]
fn a_quarantine_holds_on_the_bus_too() {
    let bus = RedisServer::start();
    let plan = on_the_bus(&["a", "b", "c"], &bus).everywhere("ack", "\"local\"");
    let mut cluster = plan.start();
    let mut ledger = Ledger::default();
    let initial = [("a", "true"), ("b", "false")];
    for (name, initial) in initial {
        let keys = [("new_cluster", initial), ("quarantine", "[\"c\"]")];
        cluster.configure(name, &keys);
        cluster[name].signal("HUP");
        cluster.comes_to(name, "ready; 1 of");
    }
    let beyond = ledger.customer(&cluster);
    assert_eq!(beyond.log_out(&cluster["c"]), 200);
    ledger.log_out_all(&cluster, "a", 1);
    ledger.log_out_all(&cluster, "b", 1);
    for name in ["a", "b"] {
        eventually(|| ledger.missing_at(&cluster, name) == 0);
        assert_ne!(beyond.visit(&cluster[name], "/cart"), 401, "{name} listens");
    }
}

#[test]
fn only_nodes_that_are_allowed_are_heard_on_the_bus() {
    let bus = RedisServer::start();
    let plan = on_the_bus(&["a", "b", "c"], &bus).at("a", "allow", "[\"b\"]");
    let mut cluster = plan.furnish();
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.start(&["a", "b", "c"]);
    cluster.comes_to("a", "ready");
    cluster.comes_to("b", "ready");
    stays_so(|| cluster.told_by("a").starts_with("ready; 1 of"));
}

#[test]
fn two_nodes_of_one_name_are_complained_about() {
    let bus = RedisServer::start();
    let plan = on_the_bus(&["a", "b"], &bus).in_plain_text();
    let mut cluster = plan.at("b", "node", "\"a\"").furnish();
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.start(&["a", "b"]);
    for name in ["a", "b"] {
        eventually(|| {
            cluster.logged(
                name,
                &["another node on the bus has this node's name", "node=a"],
            )
        });
    }
}

#[test]
fn a_crowd_that_logs_out_at_two_nodes_is_refused_at_the_third() {
    let bus = RedisServer::start();
    let cluster = on_the_bus(&["a", "b", "c"], &bus).start();
    let mut ledger = Ledger::default();
    let crowds =
        ["a", "b"].map(|name| (name, Crowd::at(cluster[name].address(), &cluster.shop, 160)));
    cluster.between("a", "b", Condition::Cut); // which changes nothing
    for (name, crowd) in crowds {
        crowd.comes_to(120);
        for token in crowd.goes_home() {
            ledger.buries(&token, name);
        }
    }
    ledger.converges(&cluster);
}
