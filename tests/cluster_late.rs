//! What a node knows is as old as what it hears: on slow, long and one-sided ways it says so in time, and it does not
//! where nothing is late.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use doorward::clock;
use support::places::with_authorization;
use support::{
    Cluster, Condition, Crowd, Ledger, Link, Name, RedisServer, eventually, tick, try_raw,
};

/// How old what a node knows may be while it says that it is ready, and what a slow machine may add to an answer.
const LATE_MAX: Duration = Duration::from_secs(7);

/// For how long nothing may happen to healthy nodes: longer than anything may be late.
const WATCH: Duration = Duration::from_secs(9);

/// Who logged out at one node, and when at the latest that was answered.
#[derive(Default)]
struct Watch {
    answered: usize,
    tokens: VecDeque<(Instant, String)>,
}

impl Watch {
    /// Looks once: a node that says it is ready refuses what was answered long ago.
    #[track_caller]
    fn look(&mut self, crowd: &Crowd, cluster: &Cluster, node: Name) -> String {
        let now = clock::instant();
        let answered = crowd.answered();
        // One of all that came since is enough: they arrive in their order.
        if let Some(token) = answered[self.answered..].last() {
            self.tokens.push_back((now, token.clone()));
            self.answered = answered.len();
        }
        let told = cluster.told_by(node);
        let ages = self.tokens.iter().map(|(at, _)| now.duration_since(*at));
        let count = ages.take_while(|age| *age > LATE_MAX).count();
        if told.starts_with("ready")
            && let Some((at, token)) = self.tokens.drain(..count).next_back()
        {
            let answer = visit(cluster[node].address(), &token);
            let ago = now.duration_since(at);
            let still = cluster.told_by(node);
            assert!(
                answer == 401 || !still.starts_with("ready"),
                "{node} is ready and accepts what ended {ago:?} ago: {told}"
            );
        }
        told
    }
}

/// As `eventually`, for what takes many ways there and back.
#[track_caller]
fn in_the_end(mut so: impl FnMut() -> bool) {
    let since = clock::instant();
    while !so() {
        let waited = clock::instant().duration_since(since);
        assert!(waited < 5 * WATCH, "still not so after {waited:?}");
        tick();
    }
}

/// Does something again and again for so long.
#[track_caller]
fn throughout(span: Duration, mut act: impl FnMut()) {
    let since = clock::instant();
    in_the_end(|| {
        act();
        clock::instant().duration_since(since) > span
    });
}

/// Plays all of these at the same time: they wait more than they work.
fn at_once<T: Send, const N: usize>(all: [T; N], play: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for one in all {
            let play = &play;
            scope.spawn(move || play(one));
        }
    });
}

fn visit(address: SocketAddr, token: &str) -> u16 {
    let request = with_authorization(&format!("Bearer {token}"));
    try_raw(address, &request).unwrap().status
}

#[test]
fn a_node_behind_a_slow_link_is_stale_before_it_accepts_what_died_long_ago_attacks_r1() {
    let plan = Cluster::of(&["a", "b"]).everywhere("ack", "\"local\"");
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.between("a", "b", Condition::Slow(1_000));
    let crowd = Crowd::at(cluster["a"].address(), &cluster.shop, 4_000);
    let mut watch = Watch::default();
    in_the_end(|| watch.look(&crowd, &cluster, "b").starts_with("stale"));
    throughout(LATE_MAX, || drop(watch.look(&crowd, &cluster, "b")));
    for token in crowd.goes_home().iter().rev().take(100) {
        ledger.buries(token, "a");
    }
    cluster.heal();
    cluster.form(&["a", "b"]);
    eventually(|| ledger.missing_at(&cluster, "b") == 0);
}

#[test]
fn one_direction_that_is_lost_is_gone_around_in_time_attacks_r1() {
    let plan = Cluster::of(&["a", "b", "c"]).everywhere("ack", "\"local\"");
    let cluster = plan.start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    cluster.silence("a", "b");
    let crowd = Crowd::at(cluster["a"].address(), &cluster.shop, 4_000);
    let mut watch = Watch::default();
    throughout(2 * LATE_MAX, || drop(watch.look(&crowd, &cluster, "b")));
    for token in crowd.goes_home().iter().rev().take(100) {
        ledger.buries(token, "a");
    }
    cluster.heal();
    cluster.form(&["a", "b", "c"]);
    eventually(|| ledger.missing_at(&cluster, "b") == 0);
}

#[test]
fn logouts_between_distant_nodes_are_acknowledged_in_time_attacks_r6() {
    at_once(["\"one\"", "\"all\""], |policy| {
        let cluster = Cluster::of(&["a", "b"]).everywhere("ack", policy).start();
        let mut ledger = Ledger::default();
        cluster.between("a", "b", Condition::Late(Duration::from_millis(50)));
        let shortfalls = || cluster.metric("a", "doorward_ack_shortfalls_total");
        let falls_short = |ledger: &mut Ledger| {
            let before = shortfalls();
            ledger.log_out_all(&cluster, "a", 1);
            shortfalls() > before
        };
        in_the_end(|| (0..3).all(|_| !falls_short(&mut ledger))); // the way is measured twice a second
        let short = (0..20).filter(|_| falls_short(&mut ledger)).count();
        assert!(short <= 5, "{policy}: {short} of 20"); // on a slow machine
        ledger.converges(&cluster);
    });
}

/// Where what was revoked on one node is refused on the other, and nowhere else.
#[test]
fn how_long_a_logout_takes_is_measured_where_it_arrives_attacks_r4() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let mut ledger = Ledger::default();
    cluster.between("a", "b", Condition::Late(Duration::from_millis(80)));
    ledger.log_out_all(&cluster, "a", 5);
    ledger.converges(&cluster);
    let measured = |node: Name, what: &str| {
        let metric = format!("doorward_propagation_seconds_{what}");
        cluster.metric(node, &metric)
    };
    let (count, sum) = (measured("b", "count"), measured("b", "sum"));
    assert!(count >= 4.0, "{count}");
    assert!(measured("a", "count") < 1.0);
    let mean = sum / count;
    assert!((0.04..1.0).contains(&mean), "{mean} s");
}

#[test]
fn whoever_has_removed_initial_is_not_asked_again_attacks_r5() {
    let mut cluster = Cluster::of(&["a", "b"]).furnish();
    cluster.configure("a", &[("new_cluster", "true")]);
    cluster.start(&["a", "b"]);
    cluster.form(&["a", "b"]);
    assert!(cluster.told_by("a").contains("remove `new_cluster`"));
    cluster.configure("a", &[]);
    cluster["a"].signal("HUP");
    eventually(|| !cluster.told_by("a").contains("remove"));
    assert!(cluster.told_by("a").starts_with("ready; 1 of 1 peers"));
}

/// A bus that is so far away, there and back.
fn distant(bus: &RedisServer, round_trip: Duration) -> (Link, String) {
    let link = Link::new();
    link.lead_to(SocketAddr::from(([127, 0, 0, 1], bus.port())));
    link.becomes(Condition::Late(round_trip / 2));
    let url = format!("\"redis://{}\"", link.address());
    (link, url)
}

/// Nobody is stale for a while in which nothing happens.
#[track_caller]
fn stay_ready(cluster: &Cluster, names: &[Name]) {
    let stale = |name: &Name| {
        let lines = cluster[*name].log_lines();
        let of_state = lines.iter().filter(|line| line.contains("state=stale"));
        of_state.count()
    };
    let before: Vec<_> = names.iter().map(stale).collect();
    throughout(WATCH, || {
        let now: Vec<_> = names.iter().map(stale).collect();
        assert_eq!(now, before, "{names:?}");
    });
}

#[test]
fn a_distant_bus_that_is_idle_makes_nobody_stale_attacks_r2() {
    at_once([300, 600].map(Duration::from_millis), |round_trip| {
        let bus = RedisServer::start();
        let (_link, url) = distant(&bus, round_trip);
        let plan = Cluster::of(&["a", "b", "c"]).everywhere("peers", "[]");
        let mut cluster = plan.everywhere("bus", &url).furnish();
        cluster.configure("a", &[("new_cluster", "true")]);
        cluster.start(&["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            in_the_end(|| cluster.told_by(name).starts_with("ready; 2 of 2"));
        }
        stay_ready(&cluster, &["a", "b", "c"]);
        let mut ledger = Ledger::default();
        ledger.log_out_all(&cluster, "a", 2);
        ledger.log_out_all(&cluster, "b", 2);
        ledger.converges(&cluster);
        stay_ready(&cluster, &["a", "b", "c"]);
    });
}

/// Two regions of two nodes; one of each is on a bus that is far away for the second region.
#[test]
fn a_bus_between_regions_makes_nobody_stale_attacks_r2() {
    at_once([300, 600].map(Duration::from_millis), |round_trip| {
        let bus = RedisServer::start();
        let (_link, far) = distant(&bus, round_trip);
        let near = bus.bus("");
        let mut cluster = Cluster::of(&["a", "b", "c", "d"]).furnish();
        let pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")];
        for is_first in [true, false] {
            for (name, other) in pairs {
                let peers = format!("[\"{}\"]", cluster.link(name, other).address());
                let mut keys = vec![("peers", peers.as_str())];
                match name {
                    "b" => keys.push(("bus", &near)),
                    "c" => keys.push(("bus", &far)),
                    _ => {}
                }
                if is_first && name == "a" {
                    keys.push(("new_cluster", "true"));
                }
                cluster.configure(name, &keys);
            }
            if is_first {
                cluster.start(&["a", "b", "c", "d"]);
                for name in ["a", "b", "c", "d"] {
                    in_the_end(|| cluster.told_by(name).starts_with("ready"));
                }
            }
        }
        let mut ledger = Ledger::default();
        ledger.log_out_all(&cluster, "a", 2);
        ledger.log_out_all(&cluster, "d", 2);
        ledger.converges(&cluster);
        stay_ready(&cluster, &["a", "b", "c", "d"]);
    });
}
