//! Who has one's own revocations already: what an answered logout waits for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::history::Origin;
use super::settings::{Ack, NodeName};

/// How long a logout waits for other nodes. It is answered all the same then: it is on this node's disk.
const BUDGET: Duration = Duration::from_millis(100);

/// The numbers up to which every connected node has one's own revocations.
#[derive(Debug)]
pub struct Acks {
    policy: AtomicU8,
    /// How many nodes there are beside this one, as far as is known.
    expected: AtomicU64,
    nodes: Mutex<HashMap<NodeName, (Origin, u64)>>,
    changed: watch::Sender<()>,
    shortfalls: AtomicU64,
}

impl Default for Acks {
    fn default() -> Self {
        Self {
            policy: AtomicU8::new(Ack::Local as u8),
            expected: AtomicU64::new(0),
            nodes: Mutex::default(),
            changed: watch::Sender::new(()),
            shortfalls: AtomicU64::new(0),
        }
    }
}

impl Acks {
    /// Waits until so many nodes have what this origin numbered, as the policy says, or until that takes too long.
    pub(in super::super) async fn wait_for(&self, origin: Origin, number: u64) {
        if self.policy.load(Ordering::Relaxed) == Ack::Local as u8 {
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
        let is_possible = self.is_possible();
        if !is_possible || tokio::time::timeout(BUDGET, all).await.is_err() {
            self.shortfalls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether waiting can help: enough nodes are connected.
    fn is_possible(&self) -> bool {
        self.nodes.lock().len() as u64 >= self.needed()
    }

    fn is_enough(&self, origin: Origin, number: u64) -> bool {
        let nodes = self.nodes.lock();
        let has = |(of, reached): &&(Origin, u64)| *of == origin && *reached >= number;
        nodes.values().filter(has).count() as u64 >= self.needed()
    }

    fn needed(&self) -> u64 {
        let policy = self.policy.load(Ordering::Relaxed);
        if policy == Ack::All as u8 {
            self.expected.load(Ordering::Relaxed).max(1)
        } else {
            1
        }
    }

    /// What is asked for from now on, and of how many nodes.
    pub(super) fn ask_for(&self, policy: Ack, expected: u64) {
        self.policy.store(policy as u8, Ordering::Relaxed);
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// This node has so much of it.
    pub(super) fn note(&self, node: &NodeName, origin: Origin, reached: u64) {
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
    pub(super) fn forget(&self, node: &NodeName) {
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
        assert_eq!(wait_for(&acks, 7), 0, "nobody else is asked");
        acks.ask_for(Ack::One, 2);
        assert_eq!(wait_for(&acks, 7), 1, "nobody is there");
        acks.note(&node("b"), HERE, 7);
        assert_eq!(wait_for(&acks, 7), 1);
        assert_eq!(wait_for(&acks, 8), 2, "it has less");
        acks.note(&node("c"), Origin::from_bytes([2; 16]), 8);
        assert_eq!(wait_for(&acks, 8), 3, "it speaks of another origin");
        acks.ask_for(Ack::All, 2);
        acks.note(&node("c"), HERE, 6);
        assert_eq!(wait_for(&acks, 7), 4);
        acks.note(&node("c"), HERE, 7);
        assert_eq!(wait_for(&acks, 7), 4);
        acks.forget(&node("c"));
        assert_eq!(wait_for(&acks, 7), 5);
    }
}
