//! The bus of a world: the sessions of its nodes, what they write and read, and its accidents.

use bytes::Bytes;

use super::state::{DAWN_MS, Event, NodeLife, SLOWEST_MS, SimulatedBatch, World, is_small_talk};
use crate::cluster::protocol::bus::{
    BusAddress, BusEnvelope, BusEvent, BusMessage, EntryId, SessionId,
};
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::mesh::LinkId;
use crate::cluster::simulation::bus_client::{SimulatedBusClient, SimulatedSession};
use crate::cluster::simulation::bus_server::NewSimulatedEntry;
use crate::revocation::Origin;

/// How long a node waits for the server, as in `server`.
const PATIENCE_MS: u64 = 5_000;

/// How long a question for new entries waits, and how often it is asked what the stream is, as in `reader`.
const LOOK_EVERY_MS: u64 = 1_000;

impl World {
    fn bus_client(&mut self, machine: usize) -> Option<&mut SimulatedBusClient> {
        let process = self.machines[machine].process.as_mut();
        process.and_then(|process| process.bus.as_mut())
    }

    fn bus_session(&mut self, machine: usize) -> Option<&mut SimulatedSession> {
        self.bus_client(machine)
            .and_then(|client| client.session.as_mut())
    }

    fn tell_mesh_of_bus(&mut self, machine: usize, event: BusEvent) {
        let now = self.clocks(machine);
        let steps = self.process(machine).mesh.on_bus_event(event, now);
        if let Some(number) = steps.publish_after
            && let Some(client) = self.bus_client(machine)
        {
            client.publish_again_after(number);
        }
        self.carry_out(machine, steps);
    }

    /// A node begins a session.
    pub(crate) fn open_bus(&mut self, who: NodeLife) {
        let machine = who.machine;
        let Some(bus) = &self.bus else {
            return;
        };
        if bus.ways[machine].is_blocked {
            let after_ms = self.chance.between(50, 2_050);
            self.at(after_ms, Event::OpenBus(who));
            return;
        }
        let (run, run_id, extent) = (bus.run, bus.run_id(), bus.extent());
        let (now_ms, now) = (self.now_ms, self.clocks(machine));
        let session_id = self.chance.number();
        let Some(client) = self.bus_client(machine) else {
            return;
        };
        if client.session.is_some() {
            return;
        }
        let other_server = client.position.check_run_id(&run_id);
        let loss = client.position.check_stream(extent).or(other_server);
        let session = SimulatedSession::new(session_id, run, now.uptime_ms, now_ms);
        client.session = Some(session);
        self.tell(format!(
            "n{machine} begins session {session_id:x} at the bus"
        ));
        self.tell_mesh_of_bus(machine, BusEvent::SessionStarted(session_id));
        if let Some(loss) = loss {
            self.tell(format!("n{machine} notices: {loss}"));
            self.tell_mesh_of_bus(machine, BusEvent::EntriesLost);
        }
        let own = self.process(machine).replication_log.own();
        self.write_to_bus(machine, vec![(None, None)], own); // the mark
    }

    /// A node's session is over; `is_lost`: because entries are missing.
    fn close_bus(&mut self, machine: usize, is_lost: bool, why: &str) {
        let Some(client) = self.bus_client(machine) else {
            return;
        };
        if client.session.is_none() {
            return;
        }
        client.close();
        self.tell(format!("n{machine} lost the bus: {why}"));
        self.tell_mesh_of_bus(machine, BusEvent::SessionEnded);
        let mut after_ms = self.chance.between(50, 2_050);
        if is_lost {
            after_ms = 50;
            self.tell_mesh_of_bus(machine, BusEvent::EntriesLost);
        }
        let who = self.spot(machine);
        self.at(after_ms, Event::OpenBus(who));
    }

    /// Lets a node write what it has to.
    pub(crate) fn pump_bus(&mut self, machine: usize, is_last: bool) {
        let now = self.clocks(machine);
        let Some(process) = self.machines[machine].process.as_mut() else {
            return;
        };
        let Some(client) = &mut process.bus else {
            return;
        };
        let (frames, published) = client.next_batch(&process.mesh, is_last, now);
        if frames.is_empty() {
            return;
        }
        for (to, frame) in &frames {
            self.ledger.hear(frame);
            if *frame == Frame::CompareSets {
                let who = self.spot(machine);
                self.have_forgotten.insert(who);
            }
            if !is_small_talk(frame) {
                let to = to.as_ref().map(|to| &to.node);
                let what: String = format!("{frame:?}").chars().take(120).collect();
                self.tell(format!("n{machine} says by bus to {to:?}: {what}"));
            }
            assert!(
                !self.is_quiet || is_small_talk(frame),
                "{frame:?} is said though all is said"
            );
        }
        let frames = frames.into_iter();
        let entries = frames.map(|(to, frame)| (to, Some(frame.encode())));
        self.write_to_bus(machine, entries.collect(), published);
    }

    fn write_to_bus(
        &mut self,
        machine: usize,
        entries: Vec<(Option<BusAddress>, Option<Bytes>)>,
        published: (Origin, u64),
    ) {
        let who = self.spot(machine);
        let asked_ms = self.clocks(machine).uptime_ms;
        let sender = self.process(machine).mesh.bus_sender();
        let entries = entries.into_iter().map(|(to, frame)| NewSimulatedEntry {
            writer: (machine, who.life),
            sender,
            to,
            frame,
        });
        let batch = SimulatedBatch {
            who,
            session_id: sender.session_id,
            entries: entries.collect(),
            asked_ms,
            sent_ms: self.now_ms,
            published,
            newest: EntryId::ZERO,
        };
        self.batches_sent += 1;
        let number = self.batches_sent;
        self.batches.insert(number, batch);
        let after_ms = self.bus_delay_ms(machine);
        self.at(after_ms, Event::AddToBus(number));
    }

    fn bus_delay_ms(&mut self, machine: usize) -> u64 {
        let delay_ms = self
            .bus
            .as_ref()
            .map_or(0, |bus| bus.ways[machine].delay_ms);
        delay_ms + self.chance.between(0, delay_ms / 2)
    }

    fn is_bus_blocked(&self, machine: usize) -> bool {
        let bus = self.bus.as_ref();
        bus.is_some_and(|bus| bus.ways[machine].is_blocked)
    }

    /// A batch has reached the server.
    pub(crate) fn add_to_bus(&mut self, number: u64) {
        let Some(batch) = self.batches.get(&number) else {
            return;
        };
        let (who, session_id) = (batch.who, batch.session_id);
        let is_late = self.now_ms - batch.sent_ms > PATIENCE_MS;
        if self.is_bus_blocked(who.machine) {
            if is_late {
                self.batches.remove(&number);
                self.give_up_session(who, session_id);
            } else {
                let after_ms = self.chance.between(100, 400); // TCP tries again
                self.at(after_ms, Event::AddToBus(number));
            }
            return;
        }
        let now_ms = self.now_ms;
        let Some(bus) = &mut self.bus else {
            return;
        };
        let Some(batch) = self.batches.get_mut(&number) else {
            return;
        };
        let entries = std::mem::take(&mut batch.entries);
        batch.newest = bus.add(entries, DAWN_MS + now_ms, now_ms);
        for machine in self.running() {
            let after_ms = self.bus_delay_ms(machine);
            self.await_bus(machine, now_ms + after_ms);
        }
        let after_ms = self.bus_delay_ms(who.machine);
        let answered = Event::AddedToBus { who, batch: number };
        self.at(after_ms, answered);
    }

    fn give_up_session(&mut self, who: NodeLife, session_id: SessionId) {
        if self.machines[who.machine].life != who.life {
            return;
        }
        let session = self.bus_session(who.machine);
        if session.is_some_and(|session| session.id == session_id) {
            self.close_bus(who.machine, false, "it does not answer");
        }
    }

    /// The answer to a batch has come.
    pub(crate) fn added_to_bus(&mut self, who: NodeLife, number: u64) {
        let machine = who.machine;
        let Some(batch) = self.batches.get(&number) else {
            return;
        };
        let session_id = batch.session_id;
        if self.is_bus_blocked(machine) {
            let is_late = self.now_ms - batch.sent_ms > PATIENCE_MS;
            if is_late {
                self.batches.remove(&number);
                self.give_up_session(who, session_id);
            } else {
                let after_ms = self.chance.between(100, 400);
                self.at(after_ms, Event::AddedToBus { who, batch: number });
            }
            return;
        }
        let Some(batch) = self.batches.remove(&number) else {
            return;
        };
        let now_ms = self.now_ms;
        let Some(client) = self.bus_client(machine) else {
            return;
        };
        let Some(session) = client.session.as_mut() else {
            return;
        };
        if session.id != session_id {
            return;
        }
        session.is_writing = false;
        session.answered_ms = now_ms;
        let is_mark = session.mark.is_none();
        let mut is_beyond = false;
        if is_mark {
            session.mark = Some(batch.newest);
            session.marked_ms = batch.asked_ms;
            is_beyond = batch.newest <= client.position.read;
            if is_beyond {
                client.position.read = EntryId::ZERO;
            }
        } else {
            client.on_published(batch.published);
        }
        let written = BusEvent::Written {
            asked_ms: batch.asked_ms,
            server_ms: batch.newest.time_ms,
        };
        self.tell_mesh_of_bus(machine, written);
        if is_beyond {
            self.tell_mesh_of_bus(machine, BusEvent::EntriesLost);
        }
        if is_mark {
            self.await_bus(machine, now_ms);
        }
        self.pump_bus(machine, false);
    }

    /// A node reads then, if not earlier.
    fn await_bus(&mut self, machine: usize, at_ms: u64) {
        let now_ms = self.now_ms;
        let who = self.spot(machine);
        let Some(session) = self.bus_session(machine) else {
            return;
        };
        if session.mark.is_some() && at_ms < session.read_at_ms {
            session.read_at_ms = at_ms;
            self.at(at_ms - now_ms, Event::ReadBus(who));
        }
    }

    /// A node reads what has come.
    pub(crate) fn read_bus(&mut self, who: NodeLife) {
        let machine = who.machine;
        let now_ms = self.now_ms;
        let Some(bus) = &self.bus else {
            return;
        };
        let (run, extent, way) = (bus.run, bus.extent(), bus.ways[machine]);
        let Some(client) = self.bus_client(machine) else {
            return;
        };
        let Some(session) = client.session.as_mut() else {
            return;
        };
        if now_ms < session.read_at_ms {
            return; // it is read later
        }
        session.read_at_ms = u64::MAX;
        if way.is_blocked {
            if now_ms - session.answered_ms > LOOK_EVERY_MS + PATIENCE_MS {
                return self.close_bus(machine, false, "it does not answer");
            }
            let late_ms = self.chance.between(100, 400);
            return self.await_bus(machine, now_ms + late_ms);
        }
        if run != session.run {
            return self.close_bus(machine, false, "the connection broke off");
        }
        session.answered_ms = now_ms;
        if now_ms >= session.look_ms {
            session.look_ms = now_ms + LOOK_EVERY_MS;
            if let Some(loss) = client.position.check_stream(extent) {
                return self.close_bus(machine, true, &loss.to_string());
            }
        }
        self.read_entries(machine, now_ms.saturating_sub(way.delay_ms));
        let client = self.bus_client(machine);
        let note = client.and_then(|client| client.place_to_note(false, now_ms));
        if let Some(note) = note {
            self.process(machine).note(note);
            self.await_commit(machine);
        }
        self.await_bus(machine, now_ms + LOOK_EVERY_MS);
        self.pump_bus(machine, false);
    }

    /// Handles what was added until then.
    fn read_entries(&mut self, machine: usize, until_ms: u64) {
        let name = self.machines[machine].name.clone();
        let Some(client) = self.bus_client(machine) else {
            return;
        };
        let read = client.position.read;
        let in_mailbox = client.session.as_ref().map(|session| session.in_mailbox);
        let Some(bus) = &mut self.bus else {
            return;
        };
        let in_mailbox = bus.read_mailbox(&name, in_mailbox.unwrap_or_default(), until_ms);
        let entries = bus.read(read, until_ms);
        let is_more = !entries.is_empty() || !in_mailbox.is_empty();
        for found in entries.into_iter().chain(in_mailbox) {
            let is_ours = found.entry.to.is_some();
            self.on_bus_entry(machine, found.id, &found.entry);
            let Some(client) = self.bus_client(machine) else {
                return;
            };
            let Some(session) = client.session.as_mut() else {
                return;
            };
            if is_ours {
                session.in_mailbox = found.id;
                continue;
            }
            client.position.go_on_to(found.id);
            let is_mark = session.mark.is_some_and(|mark| found.id >= mark);
            if is_mark && !std::mem::replace(&mut session.is_caught_up, true) {
                let marked_ms = session.marked_ms;
                self.tell_mesh_of_bus(machine, BusEvent::CaughtUp { marked_ms });
            }
        }
        if is_more {
            self.await_bus(machine, self.now_ms + 1);
        }
    }

    fn on_bus_entry(&mut self, machine: usize, id: EntryId, entry: &NewSimulatedEntry) {
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let (writer, life) = entry.writer;
        let Some(bytes) = &entry.frame else {
            return;
        };
        let frame = Frame::decode(bytes).unwrap().unwrap();
        let is_goodbye = frame == Frame::Goodbye(Goodbye::Leaving);
        let session = self.bus_session(machine);
        let age_ms = session.and_then(|session| session.age_ms(id, now.uptime_ms));
        let envelope = BusEnvelope {
            from: self.machines[writer].name.clone(),
            sender: entry.sender,
            to: entry.to.as_ref().map(|to| to.session_id),
            age_ms: age_ms.filter(|_| entry.to.is_none()),
            server_ms: id.time_ms,
        };
        let is_old = envelope.age_ms.is_some();
        let process = self.process(machine);
        let message = BusMessage { envelope, frame };
        let Ok(steps) = process.mesh.on_bus_message(message, now) else {
            return; // it is of a comparison that is over
        };
        if !is_old && writer != machine {
            process.last_message_ms = now_ms;
        }
        if steps.joined.is_some() && self.machines[writer].life == life {
            self.process(machine).met.entry(writer).or_insert(now_ms); // its goodbye may follow
        }
        if is_goodbye && writer != machine && (is_old || !steps.closes.is_empty()) {
            let leaver = NodeLife {
                machine: writer,
                life,
            };
            self.inherit(machine, leaver);
        }
        let has_news = !steps.imports.is_empty();
        self.carry_out(machine, steps);
        let client = self.bus_client(machine);
        let note = client.and_then(|client| client.place_to_note(has_news, now_ms));
        if let Some(note) = note {
            self.process(machine).note(note);
        }
        self.await_commit(machine);
    }

    /// A node says goodbye by the bus, if it has a session and nothing is on its way. It may end before that has arrived.
    pub(crate) fn leave_bus(&mut self, machine: usize) {
        self.pump_bus(machine, true);
    }

    /// A process is gone: what it has sent may arrive or not.
    pub(crate) fn end_bus(&mut self, dead: NodeLife) {
        let mut sent = self.batches.iter();
        let last = sent.rfind(|(_, batch)| batch.who == dead);
        if let Some(number) = last.map(|(number, _)| *number)
            && self.chance.one_in(3)
        {
            self.batches.remove(&number);
        }
    }

    /// The machine and the life of the node that a link by the bus leads to.
    pub(crate) fn peer_by_bus(&self, machine: usize, link: LinkId) -> Option<NodeLife> {
        let client = self.machines[machine].process.as_ref()?.bus.as_ref()?;
        let (node, session_id) = client.peer_on(link)?;
        let peer = self.machines.iter().position(|one| one.name == *node)?;
        let there = self.machines[peer].process.as_ref()?.bus.as_ref()?;
        let session = there.session.as_ref()?;
        (session.id == session_id).then(|| self.spot(peer))
    }

    pub(crate) fn cut_bus(&mut self, machine: usize) {
        if let Some(bus) = &mut self.bus {
            bus.ways[machine].is_blocked = true;
            self.tell(format!("n{machine} is cut off from the bus"));
        }
    }

    pub(crate) fn slow_bus(&mut self, machine: usize) {
        let slow_ms = self.chance.one_of(&[200, 1_000, SLOWEST_MS]).unwrap();
        if let Some(bus) = &mut self.bus {
            bus.ways[machine].delay_ms = slow_ms;
            self.tell(format!("n{machine} - bus takes {slow_ms} ms"));
        }
    }

    pub(crate) fn mend_bus(&mut self, machine: usize) {
        let delay_ms = self.plan.delay_ms;
        if let Some(bus) = &mut self.bus {
            bus.ways[machine].is_blocked = false;
            bus.ways[machine].delay_ms = delay_ms;
        }
    }

    pub(crate) fn crash_bus(&mut self) {
        let chance = &mut self.chance;
        if let Some(lost) = self.bus.as_mut().map(|bus| bus.crash(chance)) {
            self.tell(format!("the bus is started again without {lost} entries"));
        }
    }

    pub(crate) fn empty_bus(&mut self) {
        if let Some(bus) = &mut self.bus {
            bus.empty();
            self.tell("the bus is emptied");
        }
    }
}
