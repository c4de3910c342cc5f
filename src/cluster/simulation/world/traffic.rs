//! The traffic of a world: connections, and the frames on them.

use super::state::{Event, NodeLife, World, is_small_talk, machine_at};
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::mesh::LinkId;
use crate::cluster::simulation::network::{End, Sent, SimulatedCommand, link_of, place_of};
use crate::cluster::simulation::process::SimulatedOutbox;

impl World {
    /// Lets a node's writers write as much as fits on the wires.
    pub(crate) fn pump(&mut self, machine: usize) {
        let links: Vec<_> = self.process(machine).outboxes.keys().copied().collect();
        for link in links {
            self.pump_link(machine, link);
        }
        self.pump_bus(machine, false);
    }

    pub(crate) fn pump_link(&mut self, machine: usize, link: LinkId) {
        let (connection, end) = place_of(link);
        loop {
            let Some(one) = self.network.connections.get(&connection) else {
                return;
            };
            if one.flows[end].len() >= self.network.capacity {
                return;
            }
            let Some(process) = self.machines[machine].process.as_mut() else {
                return;
            };
            let Some(outbox) = process.outboxes.get_mut(&link) else {
                return;
            };
            let Some((sent, end_why)) = outbox.write(&process.mesh, &mut self.chance) else {
                return;
            };
            for sent in sent {
                self.send(connection, end, sent);
            }
            if let Some(why) = end_why {
                self.send(connection, end, Sent::End);
                self.hang_up(connection, end, &why);
            }
        }
    }

    pub(crate) fn send(&mut self, connection: u64, end: usize, sent: Sent) {
        if let Sent::Frame(bytes) = &sent {
            let frame = Frame::decode(bytes).unwrap().unwrap();
            self.ledger.hear(&frame);
            if frame == Frame::CompareSets {
                let End { machine, life } = self.network.connections[&connection].ends[end];
                self.have_forgotten.insert(NodeLife { machine, life });
            }
            if !is_small_talk(&frame) {
                let link = link_of(connection, end);
                let what = format!("{frame:?}");
                self.tell(format!(
                    "{link} says {}",
                    what.chars().take(120).collect::<String>()
                ));
            }
            assert!(
                !self.is_quiet || is_small_talk(&frame),
                "{frame:?} is said though all is said"
            );
        }
        let chance = &mut self.chance;
        self.network
            .send(connection, end, sent, self.now_ms, chance);
        self.await_arrival(connection, end);
    }

    pub(crate) fn await_arrival(&mut self, connection: u64, end: usize) {
        let now_ms = self.now_ms;
        let Some(one) = self.network.connections.get_mut(&connection) else {
            return;
        };
        if one.is_awaited[end] || one.is_cut[end] {
            return;
        }
        if let Some((at_ms, _)) = one.flows[end].front() {
            one.is_awaited[end] = true;
            let after_ms = at_ms.saturating_sub(now_ms);
            self.at(after_ms, Event::Arrive { connection, end });
        }
    }

    /// What comes next from an end has reached the other one.
    pub(crate) fn arrive(&mut self, connection: u64, end: usize) {
        let path = match self.network.connections.get_mut(&connection) {
            Some(one) => {
                one.is_awaited[end] = false;
                self.network.path(connection, end)
            }
            None => return,
        };
        let one = &self.network.connections[&connection];
        if one.is_cut[end] {
            return;
        }
        let there = one.ends[1 - end];
        let is_there = one.is_open[1 - end] && self.machines[there.machine].life == there.life;
        let paused_ms = self.machines[there.machine].paused_until_ms;
        let wait_ms = if path.is_blocked {
            self.chance.between(100, 400) // TCP tries again
        } else if is_there {
            paused_ms.saturating_sub(self.now_ms)
        } else {
            0
        };
        if wait_ms > 0 {
            let late_ms = self.chance.between(0, 20);
            let one = self.network.connections.get_mut(&connection).unwrap();
            one.is_awaited[end] = true;
            self.at(wait_ms + late_ms, Event::Arrive { connection, end });
            return;
        }
        let one = self.network.connections.get_mut(&connection).unwrap();
        let Some((_, sent)) = one.flows[end].pop_front() else {
            return;
        };
        if !is_there {
            one.flows[end].clear();
            self.drop_connection(connection);
            return;
        }
        self.receive(connection, 1 - end, there.machine, sent);
        self.await_arrival(connection, end);
        self.pump_sender(connection, end);
    }

    pub(crate) fn pump_sender(&mut self, connection: u64, end: usize) {
        let Some(one) = self.network.connections.get(&connection) else {
            return;
        };
        let (here, is_open) = (one.ends[end], one.is_open[end]);
        let machine = &self.machines[here.machine];
        if is_open && machine.life == here.life && machine.paused_until_ms <= self.now_ms {
            self.pump_link(here.machine, link_of(connection, end));
        }
    }

    pub(crate) fn receive(&mut self, connection: u64, end: usize, machine: usize, sent: Sent) {
        let link = link_of(connection, end);
        let bytes = match sent {
            Sent::Frame(bytes) => bytes,
            Sent::End => return self.hang_up(connection, end, "it hung up"),
        };
        let frame = Frame::decode(&bytes).unwrap().unwrap();
        let End {
            machine: other,
            life,
        } = self.network.connections[&connection].ends[1 - end];
        if frame == Frame::Goodbye(Goodbye::Leaving) {
            let leaver = NodeLife {
                machine: other,
                life,
            };
            self.hear_goodbye(machine, leaver);
        }
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let process = self.process(machine);
        let steps = process.mesh.on_message(link, frame, now);
        let steps = steps.expect("an honest node is garbled");
        assert_eq!(steps.pause_ms, 0);
        process.last_message_ms = now_ms;
        if steps.joined.is_some() {
            process.met.entry(other).or_insert(now_ms);
        }
        self.carry_out(machine, steps);
    }

    /// One end is closed by its node.
    pub(crate) fn hang_up(&mut self, connection: u64, end: usize, why: &str) {
        let Some(one) = self.network.connections.get_mut(&connection) else {
            return;
        };
        if !std::mem::replace(&mut one.is_open[end], false) {
            return;
        }
        let (here, target) = (one.ends[end], one.target);
        if self.machines[here.machine].life != here.life {
            return;
        }
        let link = link_of(connection, end);
        let process = self.process(here.machine);
        process.outboxes.remove(&link);
        let peer = process.mesh.disconnect(link);
        let peer = peer.map_or("no node".to_owned(), |peer| peer.to_string());
        self.tell(format!("n{} lost {peer} on {link}: {why}", here.machine));
        if end == 0 {
            self.process(here.machine).mesh.tried(target);
            let who = self.spot(here.machine);
            self.dial_again(who, machine_at(target));
        }
        self.drop_connection(connection);
    }

    pub(crate) fn drop_connection(&mut self, connection: u64) {
        if self.network.connections[&connection].is_open == [false; 2] {
            self.network.connections.remove(&connection);
        }
    }

    pub(crate) fn dial_again(&mut self, who: NodeLife, callee: usize) {
        let after_ms = self.chance.between(50, 2_050);
        self.at(after_ms, Event::Dial { who, callee });
    }

    pub(crate) fn dial(&mut self, who: NodeLife, callee: usize) {
        let target = Self::address(callee);
        let mesh = &self.process(who.machine).mesh;
        if !mesh.is_target(target) {
            return;
        }
        if !mesh.is_wanted(target) {
            mesh.tried(target);
            self.dial_again(who, callee);
            return;
        }
        let takes_ms = (3 * self.network.paths[who.machine][callee].delay_ms).min(2_000);
        let late_ms = self.chance.between(0, 5);
        self.at(takes_ms + late_ms, Event::Connect { who, callee });
    }

    pub(crate) fn connect(&mut self, who: NodeLife, callee: usize) {
        let target = Self::address(callee);
        let is_there = self.machines[callee].process.is_some()
            && self.machines[callee].paused_until_ms <= self.now_ms
            && !self.network.paths[who.machine][callee].is_blocked
            && !self.network.paths[callee][who.machine].is_blocked
            && (self.is_over || !self.chance.one_in(20));
        if !is_there {
            self.process(who.machine).mesh.tried(target);
            self.dial_again(who, callee);
            return;
        }
        let ends = [self.spot(who.machine), self.spot(callee)].map(|spot| End {
            machine: spot.machine,
            life: spot.life,
        });
        let connection = self.network.connect(ends, target);
        let link = link_of(connection, 0);
        self.tell(format!("n{} calls n{callee} on {link}", who.machine));
        for end in 0..2 {
            let machine = ends[end].machine;
            let names = vec![self.machines[ends[1 - end].machine].name.clone()];
            let dialed = (end == 0).then_some(target);
            let now = self.clocks(machine);
            let link = link_of(connection, end);
            let process = self.process(machine);
            let hello = process.mesh.connect(link, end == 0, dialed, names, now);
            process
                .outboxes
                .insert(link, SimulatedOutbox::new(&process.replication_log));
            process.order(link, SimulatedCommand::Send(hello));
            self.pump_link(machine, link);
        }
    }
}
