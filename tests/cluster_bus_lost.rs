//! The bus falls, hangs, is emptied or is another one: logouts go on, nobody claims to know what it does not know, and
//! afterwards everything is refused everywhere.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use support::{Cluster, Ledger, Name, RedisServer, STREAM, eventually};

const NODES: [Name; 2] = ["a", "b"];

/// Two nodes that hear each other by a bus only.
struct Story {
    bus: RedisServer,
    cluster: Cluster,
    ledger: Ledger,
}

impl Story {
    #[track_caller]
    fn begins() -> Self {
        let bus = RedisServer::start();
        let plan = Cluster::of(&NODES).everywhere("peers", "[]");
        let plan = plan.everywhere("bus", &bus.bus(""));
        let cluster = plan.at("b", "on_stale", "\"refuse\"").start();
        let mut ledger = Ledger::default();
        ledger.spare(&cluster);
        ledger.log_out_all(&cluster, "a", 2);
        ledger.log_out_all(&cluster, "b", 2);
        ledger.converges(&cluster);
        Self {
            bus,
            cluster,
            ledger,
        }
    }

    /// Somebody logs out at both, which may be too late for one of them.
    #[track_caller]
    fn goes_on(&mut self, times: usize) {
        for _ in 0..times {
            for name in NODES {
                self.ledger.log_out(&self.cluster, name);
                self.ledger.check_own_at(&self.cluster, name);
            }
        }
    }

    /// Nobody hears the other one, and both know it.
    #[track_caller]
    fn is_silent(&self) {
        for name in NODES {
            self.cluster.comes_to(name, "stale");
            let told = self.cluster.told_by(name);
            assert!(told.contains("the bus is silent"), "{name}: {told}");
        }
        assert!(self.cluster.is_ready("a") && !self.cluster.is_ready("b"));
    }

    #[track_caller]
    fn ends_well(mut self, resets: bool) {
        self.cluster.form(&NODES);
        self.ledger.converges(&self.cluster);
        for name in NODES {
            let found = self.cluster.metric(name, "doorward_bus_resets_total");
            assert_eq!(found >= 1.0, resets, "{name}: {found}");
            assert!(self.cluster.metric(name, "doorward_bus_connected") > 0.0);
        }
        self.goes_on(2);
        self.ledger.converges(&self.cluster);
        self.bus.kill();
    }
}

#[test]
fn logouts_are_taken_and_enforced_while_the_bus_is_down() {
    let mut story = Story::begins();
    story.bus.kill();
    let fallen = clock::instant();
    story.goes_on(2);
    story.is_silent();
    let took = clock::instant().duration_since(fallen);
    assert!(took.as_secs() >= 2, "{took:?}");
    story.goes_on(1);
    story.ledger.log_out_all(&story.cluster, "a", 3);
    for name in NODES {
        eventually(|| {
            story
                .cluster
                .logged(name, &["the bus can't be reached", "bus=127.0.0.1:"])
        });
        assert!(story.cluster.metric(name, "doorward_bus_connected") < 1.0);
    }
    story.bus.start_again();
    story.ends_well(true);
}

#[test]
fn a_bus_that_comes_back_empty_is_filled_again() {
    let mut story = Story::begins();
    story.bus.kill();
    story.goes_on(2);
    story.is_silent();
    story.goes_on(1);
    story.bus.lose_data();
    story.bus.start_again();
    story.ends_well(true);
}

#[test]
fn a_bus_that_is_away_for_a_moment_is_caught_up_with() {
    let mut story = Story::begins();
    for _ in 0..3 {
        story.bus.kill();
        story.goes_on(1);
        story.bus.start_again();
        story.goes_on(1);
        story.ledger.converges(&story.cluster);
    }
    story.ends_well(true);
}

#[test]
fn what_is_flushed_from_the_bus_is_missing_nowhere() {
    let mut story = Story::begins();
    for _ in 0..5 {
        story.goes_on(1);
        story.bus.ask(&["FLUSHALL"]);
        story.goes_on(1);
    }
    for name in NODES {
        let resets = || story.cluster.metric(name, "doorward_bus_resets_total");
        eventually(|| resets() >= 1.0);
        eventually(|| {
            story
                .cluster
                .logged(name, &["the bus may have lost entries"])
        });
    }
    story.ends_well(true);
}

/// It takes connections and says nothing.
#[test]
fn a_bus_that_hangs_is_silent() {
    let mut story = Story::begins();
    story.bus.signal("STOP");
    story.goes_on(2);
    story.is_silent();
    story.goes_on(1);
    story.bus.signal("CONT");
    story.ends_well(false);
}

#[test]
fn a_node_that_slept_while_the_bus_was_trimmed_compares() {
    let mut story = Story::begins();
    story.cluster.pause("b");
    story.ledger.log_out_all(&story.cluster, "a", 5);
    story.cluster.comes_to("a", "stale");
    story.bus.ask(&["XTRIM", STREAM, "MAXLEN", "0"]);
    story.cluster.resume("b");
    story.cluster.form(&NODES);
    story.ledger.converges(&story.cluster);
}

/// A replica takes over that has not got the last entries, and its clock is behind.
#[test]
fn a_bus_that_has_forgotten_the_last_entries_is_not_believed() {
    let mut story = Story::begins();
    story.goes_on(3);
    story.bus.kill();
    story.goes_on(1);
    story.bus.lose_data();
    story
        .bus
        .start_again_with(&["XADD", STREAM, "9000000000000-0", "from", "the future"]);
    story.ends_well(true);
}

#[test]
fn a_full_bus_takes_nothing_and_is_silent() {
    let mut story = Story::begins();
    story.bus.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    story.goes_on(2);
    story.is_silent();
    for name in NODES {
        eventually(|| {
            story
                .cluster
                .logged(name, &["the bus can't be reached", "OOM"])
        });
    }
    story.bus.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    story.ends_well(false);
}
