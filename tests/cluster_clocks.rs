//! A clock that is wrong never makes a node forget a token, or refuse one that is alive.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Cluster, Edge, FakeClock, Ledger, shop_table, stateless_bagisto};

/// In seconds.
const DAY: i64 = 86_400;

/// The harness itself.
#[test]
fn a_fake_clock_is_as_wrong_as_it_is_told_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::in_folder(folder.path(), "a");
    clock.is_off_by(-3 * 365 * DAY);
    let shop = stateless_bagisto();
    let mut edge = Edge::begin(&clock.environment(), &shop_table(&shop));
    edge.becomes_ready().unwrap();
    let year = |line: &str| line[..4].parse::<u64>().unwrap();
    let first = year(edge.log_lines().first().unwrap());
    clock.is_off_by(3 * 365 * DAY);
    edge.stop();
    let last = year(edge.log_lines().last().unwrap());
    assert!((5..=7).contains(&(last - first)), "{first} {last}");
}

#[test]
fn a_node_whose_clock_is_a_minute_off_is_not_ready_and_says_why() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).with_clock_at("c").furnish();
    let mut ledger = Ledger::default();
    cluster.clock("c").is_off_by(60);
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.start(&["a", "b", "c"]);
    for name in ["a", "b"] {
        cluster.comes_to(name, "ready");
    }
    let alive = ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    support::eventually(|| cluster.told_by("c").contains("clock"));
    let told = cluster.told_by("c");
    assert!(!told.starts_with("ready"), "{told}");
    support::eventually(|| cluster.logged("c", &["cluster state", "clock"]));
    assert!(!cluster.is_ready("c"));
    assert_eq!(alive.visit(&cluster["c"], "/cart"), 503);
    let skew = cluster.metric("c", "doorward_clock_skew_seconds");
    assert!((55.0..65.0).contains(&skew.abs()), "{skew}");
    for name in ["a", "b"] {
        cluster.comes_to(name, "ready");
    }
    ledger.check(&cluster);
    cluster.clock("c").is_off_by(-3);
    ledger.converges(&cluster); // a few seconds are warned of
    support::eventually(|| cluster.logged("c", &["WARN", "clock"]));
    cluster.clock("c").is_off_by(0);
    ledger.converges(&cluster);
}

#[test]
fn a_clock_that_steps_while_it_runs_revives_and_forgets_nothing() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).with_clock_at("c").start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    ledger.log_out_all(&cluster, "a", 3);
    ledger.log_out_all(&cluster, "c", 3);
    ledger.converges(&cluster);
    for step in [2 * 3600, -2 * 3600, 30 * DAY] {
        cluster.clock("c").is_off_by(step);
        support::eventually(|| !cluster.told_by("c").starts_with("ready"));
        ledger.log_out_all(&cluster, "a", 2);
        ledger.check(&cluster);
        cluster.clock("c").is_off_by(0);
        ledger.converges(&cluster);
    }
    cluster.kill("c");
    cluster.clock("c").is_off_by(-30 * DAY);
    cluster.start(&["c"]);
    ledger.check(&cluster);
    cluster.clock("c").is_off_by(0);
    ledger.converges(&cluster);
}
