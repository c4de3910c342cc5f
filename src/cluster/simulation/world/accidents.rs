//! The accidents of a world.

use std::time::Duration;

use super::state::{Event, ROGUE_LINKS, SLOWEST_MS, World};
use crate::clock::UnixTime;
use crate::cluster::protocol::frame::Frame;
use crate::cluster::simulation::ledger::holds;
use crate::cluster::simulation::network::Sent;
use crate::cluster::simulation::plan::Accident;
use crate::cluster::simulation::process::Disk;
use crate::cluster::simulation::rogue;
use crate::revocation::{DateKind, Id, MARGIN, NodeName, Revocation, Source, SyncPhase, Window};

impl World {
    pub(crate) fn accident(&mut self) {
        if self.is_over {
            return;
        }
        let accident = self.chance.one_of(&self.plan.accidents).unwrap();
        let machine = self.chance.below(self.machines.len());
        self.befall(accident, machine);
        let after_ms = self.chance.between(1, self.plan.pace_ms);
        self.at(after_ms, Event::Accident);
    }

    pub(crate) fn befall(&mut self, accident: Accident, machine: usize) {
        let other = self.chance.below(self.machines.len());
        let is_running = self.machines[machine].process.is_some();
        match accident {
            Accident::Revoke if is_running => self.revoke(machine),
            Accident::Cut if machine != other => {
                let both = self.chance.one_in(2);
                self.network.paths[machine][other].is_blocked = true;
                self.network.paths[other][machine].is_blocked |= both;
                self.tell(format!("n{machine} -> n{other} is cut, both ways: {both}"));
            }
            Accident::Mend => self.mend(machine),
            Accident::BusCut => self.cut_bus(machine),
            Accident::BusSlow => self.slow_bus(machine),
            Accident::BusCrash => self.crash_bus(),
            Accident::BusEmpty => self.empty_bus(),
            Accident::Slow => {
                let slow_ms = self.chance.one_of(&[200, 1_000, SLOWEST_MS]).unwrap();
                self.network.paths[machine][other].delay_ms = slow_ms;
                self.tell(format!("n{machine} -> n{other} takes {slow_ms} ms"));
            }
            Accident::Thin => {
                let rate = self.chance.one_of(&[1_000, 4_000, 20_000]).unwrap();
                self.thin(machine, other, rate);
            }
            Accident::Break | Accident::Freeze => self.break_connection(accident),
            Accident::Kill if is_running => {
                let is_silent = self.chance.one_in(3);
                if self.chance.one_in(3) && self.is_awake(machine) {
                    self.write_last(machine);
                }
                self.tell(format!("n{machine} is killed, silently: {is_silent}"));
                self.end(machine, is_silent);
            }
            Accident::Start if !is_running => self.start_somehow(machine),
            Accident::Leave if is_running && self.is_awake(machine) => self.leave(machine),
            Accident::Pause if is_running => {
                let lasts_ms = self.chance.between(100, 15_000);
                // A machine that stands still already is not set going by that: its events wait for the later moment.
                let until_ms = &mut self.machines[machine].paused_until_ms;
                *until_ms = (*until_ms).max(self.now_ms + lasts_ms);
                self.tell(format!("n{machine} stands still for {lasts_ms} ms"));
            }
            Accident::Clock => self.step_clock(machine),
            Accident::Disk => {
                let one = &mut self.machines[machine];
                one.is_disk_failing = !one.is_disk_failing;
                one.disk_ms = self.chance.one_of(&[1, 20, 800]).unwrap();
                let told = (one.is_disk_failing, one.disk_ms);
                self.tell(format!("n{machine}'s disk fails, takes ms: {told:?}"));
            }
            Accident::Copy => {
                let one = &mut self.machines[machine];
                one.copies.push(one.disk.clone());
                self.tell(format!("n{machine}'s disk is copied"));
            }
            Accident::Force if is_running && self.chance.one_in(4) => self.force(machine),
            Accident::Quarantine => self.quarantine(machine),
            Accident::Rogue if is_running && self.is_awake(machine) => self.meet_rogue(machine),
            Accident::Revoke
            | Accident::Cut
            | Accident::Kill
            | Accident::Start
            | Accident::Leave
            | Accident::Pause
            | Accident::Force
            | Accident::Rogue => {}
        }
    }

    /// A path carries so many bytes a second.
    pub(crate) fn thin(&mut self, from: usize, to: usize, rate: u64) {
        self.network.paths[from][to].bytes_per_second = Some(rate);
        self.tell(format!("n{from} -> n{to} carries {rate} bytes a second"));
    }

    /// Nothing of what one node sends arrives at the other.
    pub(crate) fn block(&mut self, from: usize, to: usize) {
        self.network.paths[from][to].is_blocked = true;
        self.tell(format!("n{from} -> n{to} is cut"));
    }

    /// A time of day is wrong by so much from now on.
    pub(crate) fn set_clock(&mut self, machine: usize, ahead_ms: i64) {
        self.machines[machine].ahead_ms = ahead_ms;
        self.tell(format!("n{machine}'s clock is {ahead_ms} ms ahead"));
    }

    /// Logouts at one node for a while, so many a second; the states that another one was in meanwhile, one after the
    /// other.
    pub(crate) fn log_out_at(
        &mut self,
        machine: usize,
        per_second: u64,
        seconds: u64,
        watched: usize,
    ) -> Vec<SyncPhase> {
        let mut states = vec![self.state(watched)];
        for _ in 0..seconds * 10 {
            for _ in 0..per_second / 10 {
                let window = self.window();
                let revocation = self.token(window);
                self.ledger.make(revocation);
                self.process(machine).revoke(revocation);
            }
            self.await_commit(machine);
            self.pass(100, |_| false);
            states.push(self.state(watched));
        }
        states.dedup();
        states
    }

    /// Waits until all know the same and are ready, which takes no more than a minute.
    pub(crate) fn comes_to_rest(&mut self) {
        let is_settled = self.becomes_settled();
        assert!(is_settled, "{}", self.differences());
    }

    pub(crate) fn state(&self, machine: usize) -> SyncPhase {
        let process = self.machines[machine].process.as_ref();
        process.map_or(SyncPhase::Starting, |process| process.state)
    }

    pub(crate) fn is_awake(&self, machine: usize) -> bool {
        self.machines[machine].paused_until_ms <= self.now_ms
    }

    pub(crate) fn revoke(&mut self, machine: usize) {
        for _ in 0..=self.chance.below(5) {
            let revocation = self.revocation();
            self.ledger.make(revocation);
            self.process(machine).revoke(revocation);
        }
        self.await_commit(machine);
    }

    pub(crate) fn revocation(&mut self) -> Revocation {
        let window = self.window();
        let known = self.chance.digest();
        let few = [known[0] % 4; 16];
        let until = self.until();
        match self.chance.below(8) {
            0 => Revocation::of_session(Id::from_bytes(known), until),
            1 => Revocation::of_session(Id::from_bytes(few), until),
            2 if !self.has_big_steps => Revocation::Cutoff {
                id: Id::from_bytes(few),
                not_before: self.now(),
                until,
            },
            3 | 4 if !self.has_big_steps => Revocation::Date {
                id: Id::from_bytes(few),
                kind: DateKind::ALL[usize::from(known[1] % 4)],
                at_ms: self.now().seconds() * 1_000 + u64::from(known[2]),
                until,
            },
            _ => self.token(window),
        }
    }

    pub(crate) fn token(&mut self, window: Window) -> Revocation {
        Revocation::Token {
            id: Id::from_bytes(self.chance.digest()),
            window,
            until: window.end().plus(MARGIN),
            source: Source::Verified,
        }
    }

    /// One of the windows of the next hours.
    pub(crate) fn window(&mut self) -> Window {
        let after = Duration::from_mins(self.chance.between(30, 180));
        Window::of(Some(self.now().plus(after)))
    }

    pub(crate) fn until(&mut self) -> UnixTime {
        let hours = self.chance.one_of(&[2, 3, 24, u64::MAX]).unwrap();
        match hours {
            u64::MAX => UnixTime::FOREVER,
            hours => self.now().plus(Duration::from_hours(hours)),
        }
    }

    pub(crate) fn mend(&mut self, machine: usize) {
        let good_ms = self.plan.delay_ms;
        for other in 0..self.machines.len() {
            for (from, to) in [(machine, other), (other, machine)] {
                let path = &mut self.network.paths[from][to];
                path.is_blocked = false;
                path.delay_ms = good_ms;
                path.bytes_per_second = None;
            }
        }
        self.mend_bus(machine);
        self.network.hasten(self.now_ms + SLOWEST_MS);
        self.tell(format!("all ways of n{machine} are mended"));
    }

    pub(crate) fn break_connection(&mut self, accident: Accident) {
        let all: Vec<_> = self.network.connections.keys().copied().collect();
        let Some(connection) = self.chance.one_of(&all) else {
            return;
        };
        let ends = self.network.connections[&connection].ends;
        self.tell(format!(
            "{accident:?} n{} - n{}",
            ends[0].machine, ends[1].machine
        ));
        for end in 0..2 {
            self.network.lose(connection, end, &mut self.chance);
            let is_told = accident == Accident::Break && !self.chance.one_in(4);
            self.cut(connection, end, is_told);
        }
    }

    /// Nothing more comes from an end, but for the news that this is so.
    pub(crate) fn cut(&mut self, connection: u64, end: usize, is_told: bool) {
        if is_told {
            self.send(connection, end, Sent::End);
        } else if let Some(one) = self.network.connections.get_mut(&connection) {
            one.is_cut[end] = true;
        }
    }

    /// What was to be written is written, and is not sent any more.
    pub(crate) fn write_last(&mut self, machine: usize) {
        let now = self.clocks(machine);
        let one = &mut self.machines[machine];
        let process = one.process.as_mut().unwrap();
        let committed = process.commit(&mut one.disk, one.is_disk_failing, now);
        for (origin, number, revocation) in committed.numbered {
            self.ledger.number(origin, number, &revocation);
        }
    }

    /// A process is gone.
    pub(crate) fn end(&mut self, machine: usize, is_silent: bool) {
        let dead = self.spot(machine);
        let all: Vec<_> = self.network.connections.keys().copied().collect();
        for connection in all {
            for end in 0..2 {
                let one = &self.network.connections[&connection];
                let here = one.ends[end];
                if here.machine == machine && here.life == dead.life && one.is_open[end] {
                    self.network.lose(connection, end, &mut self.chance);
                    self.cut(connection, end, !is_silent);
                    let one = self.network.connections.get_mut(&connection).unwrap();
                    one.is_open[end] = false;
                }
            }
            self.drop_connection(connection);
        }
        self.end_bus(dead);
        let one = &mut self.machines[machine];
        one.process = None;
        one.life += 1;
        one.paused_until_ms = 0;
        self.ledger.forget(machine);
    }

    pub(crate) fn start_somehow(&mut self, machine: usize) {
        let chance = &mut self.chance;
        let one = &mut self.machines[machine];
        if self.plan.accidents.contains(&Accident::Copy) && chance.one_in(4) {
            if chance.one_in(3) {
                one.disk = Disk::empty(chance, &one.name);
                self.tell(format!("n{machine}'s disk is lost"));
            } else if !one.copies.is_empty() {
                let copy = chance.below(one.copies.len());
                one.disk = one.copies[copy].clone();
                let (origin, vector) = (one.disk.origin, &one.disk.vector);
                let reached = vector.get(&origin).copied().unwrap_or_default();
                self.ledger.doubt(origin, reached);
                self.tell(format!("n{machine}'s disk is an older copy"));
            }
        }
        self.start(machine);
    }

    /// Says goodbye to all nodes, and stops.
    pub(crate) fn leave(&mut self, machine: usize) {
        self.tell(format!("n{machine} leaves"));
        let writes_first = self.chance.one_in(2);
        if writes_first {
            self.write_last(machine);
        }
        let process = self.machines[machine].process.as_mut().unwrap();
        let (origin, _) = process.replication_log.own();
        let mut left = self.ledger.entries_of(origin);
        left.retain(|entry| holds(&process.set, self.ledger.revocation(*entry)));
        for outbox in process.outboxes.values_mut() {
            outbox.leave();
        }
        self.left.insert(self.spot(machine), left);
        self.leave_bus(machine);
        self.pump(machine);
        self.machines[machine].has_left = self.chance.one_in(3);
        self.write_last(machine);
        for other in self.running() {
            self.process(other).met.remove(&machine);
        }
        self.end(machine, false);
    }

    pub(crate) fn step_clock(&mut self, machine: usize) {
        // One clock in a world may be wrong by hours.
        let steps_ms: &[i64] = if self.has_big_steps && machine == 1 {
            &[-7_200_000, -60_000, 0, 500, 40_000, 9_000_000]
        } else {
            &[-500_000, -20_000, -1_000, 0, 1_000, 20_000, 500_000]
        };
        let ahead_ms = self.chance.one_of(steps_ms).unwrap();
        self.set_clock(machine, ahead_ms);
    }

    pub(crate) fn force(&mut self, machine: usize) {
        let process = self.process(machine);
        process.is_forced = true;
        process.mesh.force_ready();
        self.tell(format!("n{machine} is forced"));
    }

    /// A peer of another name says to a node what no node would, and is gone again.
    pub(crate) fn meet_rogue(&mut self, machine: usize) {
        self.rogues += 1;
        let link = ROGUE_LINKS + self.rogues;
        let real: Vec<_> = self.machines.iter().map(|one| one.disk.origin).collect();
        let frames = rogue::says(&mut self.chance, &real);
        self.tell(format!("n{machine} meets a rogue: {} frames", frames.len()));
        let now = self.clocks(machine);
        let names = vec![rogue::name()];
        let mesh = &self.process(machine).mesh;
        mesh.connect(link, false, None, names, now);
        for frame in frames {
            let frame = Frame::decode(&frame.encode()).unwrap().unwrap();
            let heard = self.process(machine).mesh.on_message(link, frame, now);
            let Ok(steps) = heard else {
                break; // it is hung up on
            };
            let is_over = steps.closes.iter().any(|(closed, _)| *closed == link);
            self.carry_out(machine, steps);
            if is_over {
                break;
            }
        }
        self.process(machine).mesh.disconnect(link);
    }

    /// All other nodes put a node into quarantine, or end every quarantine.
    pub(crate) fn quarantine(&mut self, machine: usize) {
        let name = self.machines[machine].name.clone();
        let is_over = self
            .machines
            .iter()
            .any(|one| !one.rules.quarantine.is_empty());
        for other in (0..self.machines.len()).filter(|other| *other != machine) {
            let listed = if is_over {
                Vec::new()
            } else {
                vec![name.clone()]
            };
            self.reconfigure(other, listed);
        }
        if is_over {
            self.reconfigure(machine, Vec::new());
        }
        self.tell(format!("quarantine of {name}: {}", !is_over));
    }

    /// What a node in quarantine has taken is not awaited any more: so the operator decided.
    pub(crate) fn reconfigure(&mut self, machine: usize, quarantine: Vec<NodeName>) {
        let names: Vec<_> = self.machines.iter().map(|one| one.name.clone()).collect();
        let one = &mut self.machines[machine];
        one.rules.quarantine = quarantine;
        let rules = one.rules.clone();
        if let Some(process) = &mut one.process {
            process.met.clear();
            let inherited = &mut process.inherited;
            inherited.retain(|(_, leaver, _)| !rules.quarantine.contains(&names[*leaver]));
            let steps = process.mesh.reconfigure(rules);
            self.carry_out(machine, steps);
        }
    }
}
