//! Links between nodes are cut, slow or deaf: both sides serve, say so, and agree again without anybody's help.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use doorward::clock;
use support::places::get;
use support::{Answer, Cluster, Condition, Customer, Ledger, Link, Name, PATIENCE, eventually};

/// What the issue promises of a repair, and what a slow machine may add.
const REPAIR: std::time::Duration = std::time::Duration::from_secs(2);

#[track_caller]
fn visit(cluster: &Cluster, node: Name, customer: &Customer) -> Answer {
    customer.visit(&cluster[node], "/api/shop/customers/profile")
}

/// How long it takes until this node refuses everything that was logged out.
#[track_caller]
fn catches_up(ledger: &Ledger, cluster: &Cluster, node: Name) {
    let since = clock::instant();
    eventually(|| ledger.missing_at(cluster, node) == 0);
    let took = clock::instant().duration_since(since);
    eprintln!("{node} caught up in {took:?}");
    assert!(took < REPAIR + PATIENCE / 4, "{node}: {took:?}");
}

#[test]
fn a_broken_link_is_repaired_through_a_third_node_and_nobody_is_stale() {
    let cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.partition(&["b"], &["c"]);
    let since = clock::instant();
    for (here, there) in [("b", "c"), ("c", "b")] {
        ledger.log_out_all(&cluster, here, 5);
        catches_up(&ledger, &cluster, there);
    }
    ledger.converges(&cluster);
    eventually(|| {
        let told = ["a", "b", "c"].map(|name| cluster.told_by(name));
        assert!(
            told.iter().all(|told| told.starts_with("ready")),
            "{told:?}"
        );
        clock::instant().duration_since(since).as_secs() >= 7
    });
    ledger.log_out_all(&cluster, "b", 5);
    catches_up(&ledger, &cluster, "c");
    cluster.heal();
    cluster.form(&["a", "b", "c"]);
    ledger.check(&cluster);
}

#[test]
fn both_sides_of_a_partition_take_logouts_and_agree_when_it_is_healed() {
    let plan = Cluster::of(&["a", "b", "c"]).at("c", "on_stale", "\"refuse\"");
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    let stays = ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 1);
    assert_eq!(visit(&cluster, "a", &stays), 200);
    let header = || {
        cluster
            .shop
            .seen()
            .pop()
            .unwrap()
            .header("x-doorward-stale")
            .map(str::to_owned)
    };
    assert_eq!(header(), None);

    cluster.partition(&["a"], &["b", "c"]);
    ledger.log_out_all(&cluster, "a", 5);
    ledger.check_at(&cluster, "a");
    let there: Vec<_> = (0..5).map(|_| ledger.customer(&cluster)).collect();
    for customer in &there {
        assert_eq!(customer.log_out(&cluster["b"]), 200);
        eventually(|| visit(&cluster, "c", customer) == 401);
        assert_ne!(visit(&cluster, "a", customer), 503, "a serves");
    }

    for name in ["a", "b", "c"] {
        cluster.comes_to(name, "stale");
        eventually(|| cluster.logged(name, &["cluster state", "state=stale"]));
        assert!(cluster.metric(name, "doorward_cluster_state{state=\"stale\"}") >= 1.0);
    }
    for serves in ["a", "b"] {
        assert!(cluster.is_ready(serves), "{serves}");
        assert_eq!(visit(&cluster, serves, &stays), 200);
        let seconds: u64 = header().unwrap().parse().unwrap();
        assert!(seconds >= 4, "{seconds}");
        assert_ne!(cluster[serves].raw(&get(&[])), 503, "without a credential");
    }
    assert!(!cluster.is_ready("c"));
    let refused = visit(&cluster, "c", &stays);
    assert_eq!(refused, 503);
    assert!(refused.header("Retry-After").is_some());
    assert_ne!(cluster["c"].raw(&get(&[])), 503, "without a credential");
    ledger.log_out_all(&cluster, "a", 5);

    for customer in &there {
        ledger.buries(customer.token(), "b");
    }
    cluster.heal();
    cluster.form(&["a", "b", "c"]);
    ledger.converges(&cluster);
    assert_eq!(visit(&cluster, "a", &stays), 200);
    assert_eq!(header(), None);
}

#[test]
fn a_slow_node_slows_nobody_and_catches_up() {
    let plan = Cluster::of(&["a", "b", "c"]).everywhere("ack", "\"one\"");
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.between("a", "c", Condition::Slow(600));
    cluster.between("b", "c", Condition::Slow(600));
    let shortfalls = || cluster.metric("a", "doorward_ack_shortfalls_total");
    let before = shortfalls();
    ledger.log_out_all(&cluster, "a", 60);
    let late = shortfalls() - before;
    assert!(late < 20.0, "{late} of 60 waited for the slow node");
    eventually(|| ledger.missing_at(&cluster, "b") == 0);
    cluster.heal();
    ledger.converges(&cluster);
}

#[test]
fn a_link_that_only_takes_is_noticed_and_gone_around() {
    let cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.between("a", "b", Condition::HalfOpen);
    let since = clock::instant();
    ledger.log_out_all(&cluster, "a", 5);
    catches_up(&ledger, &cluster, "b");
    for (here, there) in [("a", "b"), ("b", "a")] {
        eventually(|| cluster.logged(here, &["peer gone", &format!("peer={there}")]));
    }
    let noticed = clock::instant().duration_since(since);
    assert!(noticed < PATIENCE, "{noticed:?}");
    ledger.log_out_all(&cluster, "b", 5);
    catches_up(&ledger, &cluster, "a");
    cluster.heal();
    cluster.form(&["a", "b", "c"]);
    ledger.converges(&cluster);
}

#[test]
fn what_a_frozen_or_flapping_link_held_back_does_no_harm() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for round in 0..4 {
        let condition = [Condition::Frozen, Condition::Cut][round % 2];
        cluster.between("a", "b", condition);
        ledger.log_out_all(&cluster, "a", 3);
        ledger.log_out_all(&cluster, "b", 3);
        cluster.heal();
        ledger.log_out_all(&cluster, "a", 1);
    }
    ledger.converges(&cluster);
    cluster.form(&["a", "b"]);
}

#[test]
fn who_says_goodbye_makes_nobody_stale_and_who_does_not_does() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.stop("c");
    cluster.comes_to("a", "ready; 1 of");
    cluster.kill("b");
    cluster.comes_to("a", "stale");
    assert!(
        cluster.told_by("a").contains("0 of 2"),
        "{}",
        cluster.told_by("a")
    );
    ledger.log_out_all(&cluster, "a", 3);
    cluster.start(&["b"]);
    cluster.comes_to("a", "ready; 1 of"); // c has been gone for longer than b was
    ledger.converges(&cluster);
    cluster.start(&["c"]);
    cluster.form(&["a", "b", "c"]);
    ledger.check(&cluster);
}

/// What docs/cluster.md says of a node that is lost for good.
#[test]
fn who_is_taken_out_of_the_peers_is_missed_no_longer() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.kill("c");
    for name in ["a", "b"] {
        cluster.comes_to(name, "stale");
    }
    for (name, other) in [("a", "b"), ("b", "a")] {
        let other = cluster.link(name, other).address().to_string();
        cluster.configure(name, &[("peers", &format!("[{other:?}]"))]);
        cluster[name].signal("HUP");
    }
    for name in ["a", "b"] {
        cluster.comes_to(name, "ready; 1 of 1");
    }
    ledger.log_out_all(&cluster, "a", 1);
    ledger.converges(&cluster);
}

/// A node hears through a second one that a third one is back; it is not up to date before the second one is.
#[test]
fn who_hears_of_a_lost_node_from_another_waits_for_what_it_knows() {
    let cluster = Cluster::of(&["a", "b", "c"]).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.partition(&["a", "b"], &["c"]);
    for name in ["a", "b", "c"] {
        cluster.comes_to(name, "stale");
    }
    ledger.log_out_all(&cluster, "c", 60);
    cluster.between("b", "c", Condition::Slow(4000));
    eventually(|| {
        ledger.check_at(&cluster, "a"); // stale ones may lack them, ready ones may not
        cluster.told_by("a").starts_with("ready")
    });
    cluster.heal();
    ledger.converges(&cluster);
}

/// The harness itself: a link is what the test says it is.
#[test]
fn a_link_is_what_it_is_told_to_be() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = Link::new();
    let open = || {
        let near = TcpStream::connect(link.address()).unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        near
    };
    let is_closed = |mut near: &TcpStream| near.read(&mut [0]).map_or(true, |length| length == 0);
    let hears = |mut end: &TcpStream| end.read(&mut [0; 1]).unwrap() == 1;
    let is_silent = |mut end: &TcpStream| {
        end.set_read_timeout(Some(PATIENCE / 100)).unwrap();
        let silent = end.read(&mut [0; 1]).is_err();
        end.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    };
    assert!(is_closed(&open()), "it leads nowhere");
    link.lead_somewhere_soon();
    let mut near = open();
    link.lead_to(far.local_addr().unwrap());
    let mut end = far.accept().unwrap().0;
    end.set_read_timeout(Some(PATIENCE)).unwrap();
    near.write_all(b"1").unwrap();
    end.write_all(b"2").unwrap();
    assert!(hears(&end) && hears(&near));
    assert_eq!(link.bytes(), 2);
    link.becomes(Condition::Frozen);
    near.write_all(b"3").unwrap();
    assert!(is_silent(&end));
    link.becomes(Condition::Healthy);
    assert!(hears(&end), "what was held back arrives");
    link.becomes(Condition::Slow(1000));
    near.write_all(&[b'4'; 100]).unwrap();
    end.read_exact(&mut [0; 100]).unwrap();
    link.becomes(Condition::HalfOpen);
    near.write_all(b"5").unwrap();
    end.write_all(b"6").unwrap();
    assert!(is_silent(&end) && is_silent(&near));
    let deaf = open();
    assert!(is_silent(&deaf));
    link.becomes(Condition::Healthy);
    assert!(is_closed(&near) && is_closed(&end) && is_closed(&deaf));
    let near = open();
    let end = far.accept().unwrap().0;
    link.becomes(Condition::Cut);
    assert!(is_closed(&near) && is_closed(&end) && is_closed(&open()));
    eventually(|| link.connections() == 0);
}
