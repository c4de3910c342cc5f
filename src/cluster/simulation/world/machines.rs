//! The machines of a world: their starts, ticks and disks.

use super::state::{Event, HANG_UP_MS, NodeLife, SILENCE_MAX_MS, TICK_MS, World};
use crate::cluster::protocol::frame::{Frame, ReconcileStep};
use crate::cluster::protocol::mesh::{LinkId, Steps};
use crate::cluster::simulation::network::{End, place_of};
use crate::cluster::simulation::plan::Beginning;
use crate::cluster::simulation::process::SimulatedProcess;
use crate::revocation::{Origin, Revocation, SyncPhase};

impl World {
    pub(crate) fn fill_disks(&mut self) {
        let shared = Origin::from_bytes(self.chance.digest());
        let window = self.window();
        let bulk: Vec<_> = (0..self.plan.bulk).map(|_| self.token(window)).collect();
        for (number, revocation) in (1..).zip(&bulk) {
            self.ledger.make(*revocation);
            self.ledger.answer(shared, number, revocation, 0);
        }
        for machine in 0..self.machines.len() {
            let is_old = match self.plan.beginning {
                Beginning::Initial => false,
                Beginning::Complete => true,
                Beginning::Mixed => self.chance.one_in(2),
            };
            if is_old {
                self.fill_disk(machine, shared, &bulk);
            }
        }
    }

    pub(crate) fn fill_disk(&mut self, machine: usize, shared: Origin, bulk: &[Revocation]) {
        let known = bulk.len() - self.chance.below(bulk.len() / 10 + 1);
        let own = self.chance.below(6);
        let own: Vec<_> = (0..own).map(|_| self.revocation()).collect();
        let disk = &mut self.machines[machine].disk;
        disk.is_complete = true;
        disk.rows.extend(&bulk[..known]);
        disk.vector.insert(shared, known as u64);
        for (number, revocation) in (1..).zip(&own) {
            self.ledger.make(*revocation);
            self.ledger.answer(disk.origin, number, revocation, 0);
            disk.rows.push(*revocation);
            disk.vector.insert(disk.origin, number);
        }
    }

    pub(crate) fn start(&mut self, machine: usize) {
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let room = self.plan.room;
        let one = &mut self.machines[machine];
        one.life += 1;
        one.has_left = false;
        one.left_heard.clear();
        let mut process =
            SimulatedProcess::start(&one.name, &one.disk, one.rules.clone(), room, now, now_ms);
        let targets: Vec<_> = one.targets.iter().map(|at| Self::address(*at)).collect();
        process.mesh.set_targets(&targets, true, now);
        if self.plan.bus.is_some() {
            process.use_bus(&one.disk, now, now_ms);
        }
        one.process = Some(process);
        self.tell(format!("n{machine} starts"));
        for other in self.running() {
            let inherited = &mut self.process(other).inherited;
            inherited.retain(|(_, leaver, _)| *leaver != machine);
        }
        self.check_claims(machine);
        let who = self.spot(machine);
        let first_ms = self.chance.between(0, TICK_MS);
        self.at(first_ms, Event::Tick(who));
        if self.plan.bus.is_some() {
            self.at(0, Event::OpenBus(who));
        }
        for callee in self.machines[machine].targets.clone() {
            self.at(self.now_ms % 3, Event::Dial { who, callee });
        }
    }

    pub(crate) fn tick(&mut self, who: NodeLife) {
        let machine = who.machine;
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let process = self.process(machine);
        let silent_ms = now_ms - process.ticked_ms;
        process.ticked_ms = now_ms;
        let before = (process.state, process.why.clone());
        let (steps, found) = process.mesh.tick(now);
        process.state = found.state;
        process.serves = found.serves;
        process.why = found.why.clone();
        if silent_ms > SILENCE_MAX_MS && process.mesh.expected() > 0 && !process.is_initial {
            assert!(
                !found.serves,
                "n{machine} serves after {silent_ms} ms of silence"
            );
        }
        let is_alone = now_ms - process.last_message_ms > SILENCE_MAX_MS + TICK_MS;
        assert!(
            found.state != SyncPhase::Ready || !is_alone || process.met.is_empty(),
            "n{machine} is ready and hears none of {:?}",
            process.met
        );
        if found.serves && process.is_initial {
            self.machines[machine].rules.new_cluster = false; // as the operator is told
        }
        assert!(
            found.state != SyncPhase::Stale
                || !self.plan.is_peaceful()
                || self.plan.accidents.is_empty(),
            "n{machine} is stale though nothing keeps nodes from hearing each other: {}",
            found.why
        );
        if before != (found.state, found.why.clone()) {
            self.tell(format!("n{machine} is {:?}: {}", found.state, found.why));
        }
        let was_ready = matches!(before.0, SyncPhase::Ready | SyncPhase::Stale);
        let is_ready = matches!(found.state, SyncPhase::Ready | SyncPhase::Stale);
        if is_ready && !was_ready {
            self.check_entry(machine);
        }
        for (link, frame) in &steps.frames {
            let begins = matches!(
                frame,
                Frame::Reconcile {
                    step: ReconcileStep::Summaries { .. },
                    ..
                }
            );
            if begins {
                self.note_reconciliation(machine, *link, now.uptime_ms);
            }
        }
        self.carry_out(machine, steps);
        self.at(TICK_MS, Event::Tick(who));
    }

    pub(crate) fn note_reconciliation(&mut self, machine: usize, link: LinkId, began_ms: u64) {
        *self.reconciliations.entry((machine, link)).or_default() += 1;
        if self.machines[machine].process.as_ref().unwrap().serves {
            return;
        }
        let (connection, end) = place_of(link);
        let by_connection = self.network.connections.get(&connection);
        let peer = match by_connection.map(|connection| connection.ends[1 - end]) {
            Some(End { machine, life }) => Some(NodeLife { machine, life }),
            None => self.peer_by_bus(machine, link),
        };
        if let Some(peer) = peer
            && self.machines[peer.machine].life == peer.life
        {
            let known = self.ledger.known(peer.machine);
            self.begun.insert((machine, link, began_ms), known);
        }
    }

    pub(crate) fn carry_out(&mut self, machine: usize, steps: Steps) {
        let chance = &mut self.chance;
        let process = self.machines[machine].process.as_mut().unwrap();
        process.carry_out(steps, chance);
        let who = self.spot(machine);
        for link in std::mem::take(&mut self.process(machine).closing) {
            self.at(HANG_UP_MS, Event::HangUp { who, link });
        }
        self.await_commit(machine);
        self.pump(machine);
    }

    pub(crate) fn await_commit(&mut self, machine: usize) {
        let slowest_ms = self.machines[machine].disk_ms;
        let process = self.process(machine);
        if process.is_commit_due || !process.has_to_write() {
            return;
        }
        process.is_commit_due = true;
        let after_ms = self.chance.between(1, slowest_ms.max(1));
        let who = self.spot(machine);
        self.at(after_ms, Event::Commit(who));
    }

    pub(crate) fn commit(&mut self, machine: usize) {
        let now = self.clocks(machine);
        let one = &mut self.machines[machine];
        let process = one.process.as_mut().unwrap();
        process.is_commit_due = false;
        let committed = process.commit(&mut one.disk, one.is_disk_failing, now);
        for (origin, number, revocation) in &committed.numbered {
            let now_ms = self.now_ms;
            self.ledger.answer(*origin, *number, revocation, now_ms);
        }
        if committed.is_failing {
            self.process(machine).is_commit_due = true;
            let who = self.spot(machine);
            self.at(1_000, Event::Commit(who));
        }
        self.pump(machine);
    }

    /// A node that says goodbye leaves all that it took to those that hear it, unless it was started again since: it is
    /// heard itself, and what it took is on its disk, or was lost with that.
    pub(crate) fn hear_goodbye(&mut self, machine: usize, leaver: NodeLife) {
        let ended_life = leaver.life + 1;
        let [one, other] = [machine, leaver.machine].map(|place| &self.machines[place]);
        if other.life > ended_life || one.rules.quarantine.contains(&other.name) {
            return;
        }
        let hearer = self.spot(machine);
        if !self.have_forgotten.contains(&leaver) {
            self.machines[leaver.machine].left_heard.push(hearer);
        }
        self.inherit(machine, leaver);
    }

    /// What a node had taken that said goodbye is to be known here soon.
    pub(crate) fn inherit(&mut self, machine: usize, leaver: NodeLife) {
        let ended_life = leaver.life + 1;
        let [one, other] = [machine, leaver.machine].map(|place| &self.machines[place]);
        if other.life > ended_life || one.rules.quarantine.contains(&other.name) {
            return;
        }
        let now_ms = self.now_ms;
        let left = self
            .left
            .get(&leaver)
            .cloned()
            .unwrap_or_default()
            .into_iter();
        let left = left.map(|entry| (now_ms, leaver.machine, entry));
        self.process(machine).inherited.extend(left);
    }
}
