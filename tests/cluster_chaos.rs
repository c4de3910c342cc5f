//! Whatever happens to nodes and links, in whatever order: when it is over, all of them know every logout.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Chance, Cluster, Condition, Ledger, Name};

const NODES: [Name; 3] = ["a", "b", "c"];
const STEPS: usize = 24;

/// Something happens; what it was.
#[track_caller]
fn something_happens(cluster: &mut Cluster, chance: &mut Chance) -> String {
    const CONDITIONS: [Condition; 5] = [
        Condition::Healthy,
        Condition::Cut,
        Condition::Frozen,
        Condition::HalfOpen,
        Condition::Slow(2000),
    ];
    let running = cluster.running();
    match chance.below(9) {
        0..=2 => {
            let one = chance.below(NODES.len());
            let other = (one + 1 + chance.below(NODES.len() - 1)) % NODES.len();
            let condition = chance.one_of(&CONDITIONS).unwrap();
            cluster.between(NODES[one], NODES[other], condition);
            format!("{condition:?} between {} and {}", NODES[one], NODES[other])
        }
        3 => {
            cluster.heal();
            "healed".to_owned()
        }
        how @ 4..=6 if running.len() > 1 => {
            let name = chance.one_of(&running).unwrap();
            match how {
                4 => cluster.kill(name),
                5 => cluster.stop(name),
                _ => cluster.pause(name),
            }
            format!("{name} is {}", ["killed", "stopped", "paused"][how - 4])
        }
        _ => comes_back(cluster, chance),
    }
}

/// Some node that does not run does so again.
#[track_caller]
fn comes_back(cluster: &mut Cluster, chance: &mut Chance) -> String {
    if let Some(name) = chance.one_of(&cluster.paused()) {
        cluster.resume(name);
        return format!("{name} goes on");
    }
    match chance.one_of(&cluster.over()) {
        Some(name) => {
            cluster.start(&[name]);
            format!("{name} starts")
        }
        None => "nothing".to_owned(),
    }
}

#[test]
fn whatever_happens_in_whatever_order_every_answered_logout_is_kept() {
    let seed: u64 = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    eprintln!("seed {seed}");
    let mut chance = Chance(seed);
    let mut cluster = Cluster::of(&NODES).start();
    let mut ledger = Ledger::default();
    ledger.spare(&cluster);
    for step in 0..STEPS {
        eprintln!("{step}: {}", something_happens(&mut cluster, &mut chance));
        for name in cluster.running() {
            ledger.log_out(&cluster, name); // who is not ready may answer 503
            ledger.check_own_at(&cluster, name);
        }
    }
    cluster.heal();
    for name in cluster.paused() {
        cluster.resume(name);
    }
    cluster.start(&cluster.over());
    cluster.form(&NODES);
    ledger.converges(&cluster);
    eprintln!("{} logouts were answered", ledger.logouts());
    assert!(ledger.logouts() > 0);
}
