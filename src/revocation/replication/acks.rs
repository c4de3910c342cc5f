//! Which nodes have this node's revocations already: what an answered logout waits for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::node_name::NodeName;
use super::replication_log::Origin;

/// How long a logout waits for other nodes, beside what the way to them takes. It is answered all the same then: it is on
/// this node's disk.
const BUDGET_MS: u64 = 100;

/// How many round trips it waits for: one is needed, and the next may take twice as long.
const ROUND_TRIPS: u64 = 2;

/// How long it waits at the most, however long the way is.
const BUDGET_MAX_MS: u64 = 1_000;

/// Which nodes must have a revocation before its logout is answered, beside the disk of the node that took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// No other node.
    Local,
    /// One other node.
    #[default]
    One,
    /// Every other node.
    All,
}

/// The numbers up to which every connected node has this node's revocations.
#[derive(Debug)]
pub struct Acks {
    demand: Mutex<AckDemand>,
    nodes: Mutex<HashMap<NodeName, (Origin, u64)>>,
    changed: watch::Sender<()>,
    shortfalls: AtomicU64,
}

/// What a logout waits for.
#[derive(Clone, Copy, Debug)]
struct AckDemand {
    policy: AckPolicy,
    /// How many nodes there are beside this one, as far as is known.
    expected: u64,
    budget_ms: u64,
}

impl AckDemand {
    /// How many other nodes must have a revocation.
    fn nodes(self) -> u64 {
        match self.policy {
            AckPolicy::Local => 0,
            AckPolicy::One => self.expected.min(1),
            AckPolicy::All => self.expected,
        }
    }
}

impl Default for Acks {
    fn default() -> Self {
        Self {
            demand: Mutex::new(AckDemand {
                policy: AckPolicy::Local,
                expected: 0,
                budget_ms: BUDGET_MS,
            }),
            nodes: Mutex::default(),
            changed: watch::Sender::new(()),
            shortfalls: AtomicU64::new(0),
        }
    }
}

impl Acks {
    /// Waits until so many nodes have what this origin numbered, as the policy says, or until that takes too long. A node
    /// that knows of no other, by its configuration, by invitation or by a connection, waits for nothing.
    pub(in crate::revocation) async fn wait_for(&self, origin: Origin, number: u64) {
        let demand = *self.demand.lock();
        if demand.nodes() == 0 {
            return;
        }
        let mut changed = self.changed.subscribe();
        let all = async {
            while !self.is_enough(origin, number) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        // Waiting can help only if enough nodes are connected.
        let is_possible = self.nodes.lock().len() as u64 >= demand.nodes();
        let budget = Duration::from_millis(demand.budget_ms);
        if !is_possible || tokio::time::timeout(budget, all).await.is_err() {
            self.shortfalls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether as many nodes have it as are asked for by now.
    fn is_enough(&self, origin: Origin, number: u64) -> bool {
        let demanded = self.demand.lock().nodes();
        let nodes = self.nodes.lock();
        let has = |(theirs, reached): &&(Origin, u64)| *theirs == origin && *reached >= number;
        nodes.values().filter(has).count() as u64 >= demanded
    }

    /// What is asked for from now on, and of how many nodes; the ways to those that are connected take so long there and
    /// back, in milliseconds.
    pub(crate) fn ask_for(&self, policy: AckPolicy, expected: u64, round_trips_ms: &[u64]) {
        let decisive_ms = match policy {
            AckPolicy::Local | AckPolicy::One => round_trips_ms.iter().min(),
            AckPolicy::All => round_trips_ms.iter().max(),
        };
        let ways_ms = decisive_ms.map_or(0, |ms| ms.saturating_mul(ROUND_TRIPS));
        *self.demand.lock() = AckDemand {
            policy,
            expected,
            budget_ms: BUDGET_MS.saturating_add(ways_ms).min(BUDGET_MAX_MS),
        };
    }

    /// This node has so much of it.
    pub(crate) fn note(&self, node: &NodeName, origin: Origin, reached: u64) {
        let mut nodes = self.nodes.lock();
        match nodes.get_mut(node) {
            Some(known) => *known = (origin, reached),
            None => {
                nodes.insert(node.clone(), (origin, reached));
            }
        }
        drop(nodes);
        self.changed.send_replace(());
    }

    /// This node is gone.
    pub(crate) fn forget(&self, node: &NodeName) {
        self.nodes.lock().remove(node);
    }

    /// How many logouts were answered before enough nodes had them.
    pub fn shortfalls(&self) -> u64 {
        self.shortfalls.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::from_bytes([1; 16]);

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn wait_for(acks: &Acks, number: u64) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(acks.wait_for(HERE, number));
        acks.shortfalls()
    }

    #[test]
    fn one_is_enough_unless_all_are_asked_for() {
        let acks = Acks::default();
        assert_eq!(wait_for(&acks, 7), 0, "no other node is asked");
        acks.ask_for(AckPolicy::One, 0, &[]);
        assert_eq!(wait_for(&acks, 7), 0, "there is no other node");
        acks.ask_for(AckPolicy::One, 2, &[]);
        assert_eq!(wait_for(&acks, 7), 1, "no other node is there");
        acks.note(&node("b"), HERE, 7);
        assert_eq!(wait_for(&acks, 7), 1);
        assert_eq!(wait_for(&acks, 8), 2, "it has less");
        acks.note(&node("c"), Origin::from_bytes([2; 16]), 8);
        assert_eq!(wait_for(&acks, 8), 3, "it speaks of another origin");
        acks.ask_for(AckPolicy::All, 2, &[]);
        acks.note(&node("c"), HERE, 6);
        assert_eq!(wait_for(&acks, 7), 4);
        acks.note(&node("c"), HERE, 7);
        assert_eq!(wait_for(&acks, 7), 4);
        acks.forget(&node("c"));
        assert_eq!(wait_for(&acks, 7), 5);
    }

    #[test]
    fn the_wait_follows_the_way_to_the_nodes_that_it_is_for() {
        let acks = Acks::default();
        for (policy, round_trips_ms, budget_ms) in [
            (AckPolicy::One, &[][..], 100),
            (AckPolicy::One, &[1, 100], 102),
            (AckPolicy::One, &[100, 300], 300),
            (AckPolicy::All, &[1, 100], 300),
            (AckPolicy::All, &[1, u64::MAX], 1_000),
        ] {
            acks.ask_for(policy, 2, round_trips_ms);
            let found_ms = acks.demand.lock().budget_ms;
            assert_eq!(found_ms, budget_ms, "{policy:?} {round_trips_ms:?}");
        }
    }
}
