//! A node is cut off for longer than others wait for it, and those are restarted, so that they do not know any more in
//! which order they took what it missed: sets are compared, under traffic and more than once, and nobody has to help.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeSet;

use doorward::clock;
use support::{Cluster, Condition, Crowd, Ledger, Name, eventually};

const NODES: [Name; 3] = ["a", "b", "c"];

/// How many customers log out while a node is cut off.
const MISSED: usize = 1_000;

/// How many log out at every node while it catches up.
const TRAFFIC: usize = 200;

/// One of so many of them is asked for everywhere.
const SAMPLE: usize = 25;

/// How much of every kind a node holds.
#[track_caller]
fn holds(cluster: &Cluster, node: Name) -> BTreeSet<String> {
    let metrics = cluster[node].metrics();
    let counts = metrics.lines().map(str::to_owned);
    let counts = counts.filter(|line| line.starts_with("doorward_revocations{"));
    counts.collect()
}

fn note(ledger: &mut Ledger, tokens: &[String], node: Name) {
    for token in tokens.iter().step_by(SAMPLE) {
        ledger.buries(token, node);
    }
}

/// Many customers log out at node a, all of them with success.
#[track_caller]
fn many_log_out(cluster: &Cluster, ledger: &mut Ledger) {
    let crowd = Crowd::at(cluster["a"].address(), &cluster.shop, MISSED);
    crowd.comes_to(MISSED);
    note(ledger, &crowd.goes_home(), "a");
}

/// The others restart, one after the other, in both ways that there are.
#[track_caller]
fn others_restart(cluster: &mut Cluster) {
    cluster.stop("a");
    cluster.start(&["a"]);
    cluster.comes_to("a", "stale; 1 of");
    cluster.kill("c");
    cluster.start(&["c"]);
    cluster.comes_to("c", "stale; 1 of");
}

#[test]
fn who_was_cut_off_for_long_from_nodes_that_restart_is_ready_again_every_time() {
    let mut cluster = Cluster::of(&NODES).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for how in [Condition::Cut, Condition::Frozen] {
        for other in ["a", "c"] {
            cluster.between("b", other, how);
        }
        many_log_out(&cluster, &mut ledger);
        for name in NODES {
            cluster.comes_to(name, "stale");
        }
        others_restart(&mut cluster);
        assert_eq!(holds(&cluster, "a"), holds(&cluster, "c"));
        assert_ne!(holds(&cluster, "a"), holds(&cluster, "b"));

        let traffic = NODES.map(|name| Crowd::at(cluster[name].address(), &cluster.shop, TRAFFIC));
        let since = clock::instant();
        cluster.heal();
        cluster.form(&NODES);
        eprintln!("ready {:?} after {how:?}", since.elapsed());
        for (crowd, name) in traffic.into_iter().zip(NODES) {
            note(&mut ledger, &crowd.goes_home(), name);
        }
        ledger.converges(&cluster);
        eventually(|| {
            let [a, b, c] = NODES.map(|name| holds(&cluster, name));
            a == b && b == c
        });
    }
}
