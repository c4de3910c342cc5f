//! The promises that every world must keep.

use std::collections::BTreeMap;

use super::state::{DRIFT_MS, Event, LOOK_MS, REPAIR_MS, SILENCE_MAX_MS, TICK_MS, World};
use crate::cluster::protocol::membership::ORIGINS_A_NODE;
use crate::cluster::simulation::ledger::holds;
use crate::cluster::simulation::network::link_of;
use crate::cluster::simulation::process::{SimulatedOutbox, SimulatedProcess};
use crate::revocation::SyncPhase;

impl World {
    pub(crate) fn look(&mut self) {
        for (machine, one) in self.machines.iter().enumerate() {
            if let Some(process) = &one.process {
                let now_ms = self.now_ms;
                self.ledger
                    .look(machine, &process.set, &process.replication_log, now_ms);
            }
        }
        self.look_at_connections();
        for machine in 0..self.machines.len() {
            self.check_knowledge(machine);
        }
        if self.chance.one_in(20) {
            for machine in self.running() {
                self.check_claims(machine);
            }
        }
        self.at(LOOK_MS, Event::Look);
    }

    /// Notes which machines hear each other well.
    pub(crate) fn look_at_connections(&mut self) {
        let mut good = BTreeMap::new();
        for (number, connection) in &self.network.connections {
            let is_heard = (0..2).all(|end| {
                let here = connection.ends[end];
                let there = connection.ends[1 - end];
                let machine = &self.machines[here.machine];
                let link = link_of(*number, end);
                machine.life == here.life
                    && machine.paused_until_ms <= self.now_ms
                    && machine.process.as_ref().is_some_and(|process| {
                        let other = &self.machines[there.machine].name;
                        process.mesh.link_of(other) == Some(link)
                            && process
                                .outboxes
                                .get(&link)
                                .is_some_and(SimulatedOutbox::is_idle)
                    })
            });
            if is_heard && self.network.is_good(*number, self.now_ms) {
                let [one, other] = connection.ends.map(|end| end.machine);
                let pair = (one.min(other), one.max(other));
                let before = self.good.get(&pair).filter(|(before, _)| before == number);
                let since_ms = before.map_or(self.now_ms, |(_, since_ms)| *since_ms);
                good.insert(pair, (*number, since_ms));
            }
        }
        self.good = good;
    }

    /// A node that says it is ready knows what was known on the other side of a good connection a moment ago.
    pub(crate) fn check_knowledge(&self, machine: usize) {
        let one = &self.machines[machine];
        let Some(process) = &one.process else {
            return;
        };
        let is_ready = process.state == SyncPhase::Ready;
        let is_late = self.now_ms - process.ticked_ms > 2 * TICK_MS;
        if !is_ready || is_late || !self.is_awake(machine) {
            return;
        }
        for (at_ms, leaver, entry) in &process.inherited {
            let left = self.ledger.revocation(*entry);
            assert!(
                at_ms + SILENCE_MAX_MS + 2 * TICK_MS > self.now_ms || holds(&process.set, left),
                "n{machine} is ready without {left:?} of n{leaver}, which left at {at_ms} ms; it knows {:?}",
                process.mesh.status(self.clocks(machine))
            );
        }
        self.check_age(machine, process);
        for ((first, second), (_, since_ms)) in &self.good {
            let other = match machine {
                machine if machine == *first => *second,
                machine if machine == *second => *first,
                _ => continue,
            };
            let Some(before_ms) = self.now_ms.checked_sub(REPAIR_MS) else {
                continue;
            };
            if *since_ms > before_ms {
                continue;
            }
            if let Some(entry) = self.ledger.missing(machine, other, before_ms) {
                let missing = self.ledger.revocation(entry);
                panic!("n{machine} is ready without {missing:?}, which n{other} has");
            }
        }
    }

    /// A node that says it is ready knows all that the nodes it has met answered five seconds ago, whatever the paths
    /// between them are.
    pub(crate) fn check_age(&self, machine: usize, process: &SimulatedProcess) {
        let Some(until_ms) = process.ticked_ms.checked_sub(SILENCE_MAX_MS + DRIFT_MS) else {
            return;
        };
        for (other, met_ms) in &process.met {
            let Some(there) = &self.machines[*other].process else {
                continue;
            };
            let (origin, _) = there.replication_log.own();
            if *met_ms > until_ms {
                continue;
            }
            if let Some(entry) = self.ledger.late(machine, origin, until_ms) {
                let missing = self.ledger.revocation(entry);
                let status = process.mesh.status(self.clocks(machine));
                panic!(
                    "n{machine} is ready without {missing:?}, which n{other} answered before {until_ms} ms; it knows {status:?}"
                );
            }
        }
    }

    /// A node that becomes ready knows what the nodes knew with which it has compared.
    pub(crate) fn check_entry(&mut self, machine: usize) {
        let was_complete = self.machines[machine].disk.is_complete;
        let process = self.machines[machine].process.as_ref().unwrap();
        let agreed = process.mesh.agreed();
        assert!(
            was_complete || process.is_forced || process.is_initial || !agreed.is_empty(),
            "n{machine} knows nothing and is {:?}: {}",
            process.state,
            process.why
        );
        for (link, began_ms, _) in agreed {
            let Some(known) = self.begun.get(&(machine, link, began_ms)) else {
                continue;
            };
            let held = self.ledger.held(&process.set);
            let missing = known.iter().find(|entry| !held.contains(entry));
            if let Some(entry) = missing {
                let missing = self.ledger.revocation(*entry);
                panic!("n{machine} has compared and lacks {missing:?}");
            }
        }
        self.begun.retain(|(one, _, _), _| *one != machine);
    }

    /// What a node and its disk say they know they know.
    pub(crate) fn check_claims(&self, machine: usize) {
        let now = self.now();
        let one = &self.machines[machine];
        if let Some(process) = &one.process {
            let vector = process.replication_log.vector();
            let overclaimed = self.ledger.overclaimed(&vector, &process.set);
            assert_eq!(overclaimed, None, "n{machine} claims what it does not hold");
        }
        let overclaimed = self
            .ledger
            .overclaimed(&one.disk.vector, &one.disk.set(now));
        assert_eq!(
            overclaimed, None,
            "n{machine}'s disk claims what it does not hold"
        );
    }

    /// Nothing is left of a rogue, and few origins of each node.
    pub(crate) fn check_origins(&self, machine: usize) {
        let one = &self.machines[machine];
        let process = one.process.as_ref().unwrap();
        let is_machine = |node: &String| node.starts_with('n');
        assert!(
            one.disk.nodes.values().all(is_machine),
            "{:?}",
            one.disk.nodes
        );
        let counted = process.replication_log.vector().len();
        let most = 2 + ORIGINS_A_NODE * self.machines.len();
        assert!(counted <= most, "n{machine} counts {counted} origins");
    }
}
