//! A world of machines: its time passes when something happens, and everything that happens follows from its seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use super::chance::Chance;
use super::ledger::{Entry, Ledger, holds};
use super::network::{End, Network, Sent, link_of, place_of};
use super::plan::{Accident, Beginning, Plan};
use super::process::{Disk, Order, Outbox, Process};
use super::rogue;
use crate::clock::UnixTime;
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::membership::ORIGINS_A_NODE;
use crate::cluster::protocol::mesh::{LinkId, Now, Steps};
use crate::cluster::protocol::readiness::Rules;
use crate::revocation::{
    DateKind, Id, MARGIN, NodeName, Origin, Revocation, Source, State, Window,
};

/// What the right clocks show when a world begins, in milliseconds.
const DAWN_MS: u64 = 1_790_000_000_000;

/// How often a node asks what is due, as `node` does.
const TICK_MS: u64 = 100;

/// How long a peer may take for what was said before it is hung up on, as in `outbox`.
const HANG_UP_MS: u64 = 500;

/// How often it is looked who knows what.
const LOOK_MS: u64 = 100;

/// After which time what is known on one side of a good connection must be known on the other one.
const REPAIR_MS: u64 = 2_500;

/// After which time of peace everybody must be ready and know the same.
const PEACE_MS: u64 = 60_000;

/// After which silence somebody is missed, and a node that did not run is not ready.
const SILENCE_MAX_MS: u64 = 5_000;

/// By how much a moment may be misjudged, since clocks drift apart.
const DRIFT_MS: u64 = 50;

/// The longest delay of a path.
const SLOWEST_MS: u64 = 4_000;

/// After which time dead connections have been given up and others are there.
const PATIENCE_MS: u64 = 9_000;

/// The links of rogues have numbers beyond those of connections.
const ROGUE_LINKS: LinkId = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Look,
    Accident,
    Tick(Spot),
    Commit(Spot),
    Dial { who: Spot, whom: usize },
    Connect { who: Spot, whom: usize },
    Arrive { connection: u64, end: usize },
    HangUp { who: Spot, link: LinkId },
}

/// A node in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    machine: usize,
    life: u64,
}

struct Machine {
    name: NodeName,
    targets: Vec<usize>,
    rules: Rules,
    /// How far its wall clock is ahead, in milliseconds.
    ahead_ms: i64,
    /// By how many millionths both its clocks are too fast.
    drift_ppm: u64,
    life: u64,
    process: Option<Process>,
    /// It does not run until then.
    paused_until_ms: u64,
    disk: Disk,
    copies: Vec<Disk>,
    is_disk_failing: bool,
    disk_ms: u64,
    /// It said goodbye, and stays away.
    has_left: bool,
    /// Who has heard that.
    left_heard: Vec<Spot>,
}

/// What has happened, told when something went wrong.
#[derive(Default)]
struct Story(Vec<String>);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("\n"));
        }
    }
}

pub(super) struct World {
    chance: Chance,
    plan: Plan,
    now_ms: u64,
    turn: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    machines: Vec<Machine>,
    network: Network,
    ledger: Ledger,
    /// Over which connection two machines hear each other well, and since when.
    good: BTreeMap<(usize, usize), (u64, u64)>,
    /// What was answered and known to a peer when a comparison with it began, by link and moment.
    begun: BTreeMap<(LinkId, u64), Vec<Entry>>,
    /// Who could not tell somebody everything without a comparison.
    have_forgotten: BTreeSet<Spot>,
    /// What nodes had taken that said goodbye.
    left: BTreeMap<Spot, Vec<Entry>>,
    /// Nothing happens any more.
    is_over: bool,
    /// Comparisons that were begun since everybody knew the same.
    rounds: BTreeMap<LinkId, u64>,
    is_quiet: bool,
    has_big_steps: bool,
    /// How many connections a rogue has made.
    rogues: u64,
    story: Story,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::of(&mut chance);
        Self::of(plan, chance)
    }

    /// All nodes of a plan run and are ready, and nothing happens to them by itself.
    pub(super) fn staged(machines: usize, seed: u64) -> Self {
        let mut world = Self::of(Plan::staged(machines), Chance::new(seed));
        for machine in 0..machines {
            world.start(machine);
        }
        world.at(0, Event::Look);
        let are_ready = |world: &Self| (0..machines).all(|one| world.state(one) == State::Ready);
        assert!(
            world.pass(PATIENCE_MS, are_ready),
            "{}",
            world.differences()
        );
        world
    }

    fn of(plan: Plan, mut chance: Chance) -> Self {
        let count = plan.machines;
        let machines = (0..count).map(|machine| {
            let called = |other: &usize| {
                let is_called = !plan.is_star || *other == 0 || machine == 0;
                is_called && (*other != machine || plan.calls_itself)
            };
            let name = NodeName::parse(&format!("n{machine}")).unwrap();
            Machine {
                targets: (0..count).filter(called).collect(),
                rules: plan.rules(machine, &mut chance),
                ahead_ms: i64::try_from(chance.between(0, 2_000)).unwrap() - 1_000,
                drift_ppm: chance.one_of(&[0, 20, 200]).unwrap(),
                life: 0,
                process: None,
                paused_until_ms: 0,
                disk: Disk::empty(&mut chance, &name),
                name,
                copies: Vec::new(),
                is_disk_failing: false,
                disk_ms: plan.disk_ms,
                has_left: false,
                left_heard: Vec::new(),
            }
        });
        let machines: Vec<_> = machines.collect();
        let has_big_steps = plan.accidents.contains(&Accident::Clock) && chance.one_in(2);
        let mut world = Self {
            network: Network::new(count, plan.delay_ms, plan.capacity),
            chance,
            now_ms: 0,
            turn: 0,
            events: BinaryHeap::new(),
            machines,
            ledger: Ledger::with_nodes(count),
            good: BTreeMap::new(),
            begun: BTreeMap::new(),
            have_forgotten: BTreeSet::new(),
            left: BTreeMap::new(),
            is_over: false,
            rounds: BTreeMap::new(),
            is_quiet: false,
            has_big_steps,
            rogues: 0,
            story: Story::default(),
            plan,
        };
        let told = format!("{:?}", world.plan);
        world.tell(told);
        world.fill_disks();
        world
    }

    /// Plays it to its end.
    pub(super) fn play(mut self) -> usize {
        for machine in 0..self.machines.len() {
            if !self.chance.one_in(6) {
                self.start(machine);
            }
        }
        self.at(0, Event::Look);
        self.at(1, Event::Accident);
        let lasts_ms = self.plan.lasts_ms;
        self.pass(lasts_ms, |_| false);
        self.make_peace();
        self.settle();
        self.be_quiet();
        self.ledger.answered()
    }

    fn tell(&mut self, what: impl AsRef<str>) {
        let line = format!("{:>7} ms  {}", self.now_ms, what.as_ref());
        self.story.0.push(line);
    }

    /// What a machine's clocks show.
    fn clocks(&self, machine: usize) -> Now {
        let one = &self.machines[machine];
        let passed_ms = self.now_ms + self.now_ms * one.drift_ppm / 1_000_000;
        Now {
            uptime_ms: 1_000_000 * (machine as u64 + 1) + passed_ms,
            wall_ms: (DAWN_MS + passed_ms).saturating_add_signed(one.ahead_ms),
        }
    }

    /// What time it is really.
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds((DAWN_MS + self.now_ms) / 1_000)
    }

    fn at(&mut self, after_ms: u64, event: Event) {
        self.turn += 1;
        let event = Reverse((self.now_ms + after_ms, self.turn, event));
        self.events.push(event);
    }

    /// Lets time pass, at the most so much, until something is so.
    fn pass(&mut self, ms: u64, is_so: impl Fn(&Self) -> bool) -> bool {
        let end_ms = self.now_ms + ms;
        let mut looked_ms = self.now_ms;
        while let Some(Reverse((at_ms, _, _))) = self.events.peek() {
            if *at_ms > end_ms {
                break;
            }
            let Some(Reverse((at_ms, _, event))) = self.events.pop() else {
                break;
            };
            self.now_ms = at_ms;
            self.happen(event);
            if at_ms - looked_ms >= LOOK_MS {
                looked_ms = at_ms;
                if is_so(self) {
                    return true;
                }
            }
        }
        self.now_ms = end_ms;
        false
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Look => self.look(),
            Event::Accident => self.accident(),
            Event::Tick(who) => self.when_awake(who, event, |world| world.tick(who)),
            Event::Commit(who) => self.when_awake(who, event, |world| world.commit(who.machine)),
            Event::Dial { who, whom } => {
                self.when_awake(who, event, |world| world.dial(who, whom));
            }
            Event::Connect { who, whom } => {
                self.when_awake(who, event, |world| world.connect(who, whom));
            }
            Event::Arrive { connection, end } => self.arrive(connection, end),
            Event::HangUp { who, link } => self.when_awake(who, event, |world| {
                let (connection, end) = place_of(link);
                world.hang_up(connection, end, "it takes nothing");
            }),
        }
    }

    /// Does what a node does, later if it does not run now.
    fn when_awake(&mut self, who: Spot, event: Event, act: impl FnOnce(&mut Self)) {
        let machine = &self.machines[who.machine];
        if machine.life != who.life || machine.process.is_none() {
            return;
        }
        let wait_ms = machine.paused_until_ms.saturating_sub(self.now_ms);
        if wait_ms == 0 {
            act(self);
        } else {
            let late_ms = self.chance.between(0, 20);
            self.at(wait_ms + late_ms, event);
        }
    }

    fn spot(&self, machine: usize) -> Spot {
        let life = self.machines[machine].life;
        Spot { machine, life }
    }

    fn address(machine: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, u8::try_from(machine).unwrap() + 1], 7946))
    }

    fn process(&mut self, machine: usize) -> &mut Process {
        self.machines[machine].process.as_mut().unwrap()
    }

    fn running(&self) -> Vec<usize> {
        let all = 0..self.machines.len();
        all.filter(|machine| self.machines[*machine].process.is_some())
            .collect()
    }

    // What nodes do.

    fn fill_disks(&mut self) {
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

    fn fill_disk(&mut self, machine: usize, shared: Origin, bulk: &[Revocation]) {
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

    fn start(&mut self, machine: usize) {
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let room = self.plan.room;
        let one = &mut self.machines[machine];
        one.life += 1;
        one.has_left = false;
        one.left_heard.clear();
        let process = Process::start(&one.name, &one.disk, one.rules.clone(), room, now, now_ms);
        let targets: Vec<_> = one.targets.iter().map(|at| Self::address(*at)).collect();
        process.mesh.set_targets(&targets, true, now);
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
        for whom in self.machines[machine].targets.clone() {
            self.at(self.now_ms % 3, Event::Dial { who, whom });
        }
    }

    fn tick(&mut self, who: Spot) {
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
        let is_alone = now_ms - process.heard_ms > SILENCE_MAX_MS + TICK_MS;
        assert!(
            found.state != State::Ready || !is_alone || process.met.is_empty(),
            "n{machine} is ready and hears nobody of {:?}",
            process.met
        );
        if found.serves && process.is_initial {
            self.machines[machine].rules.initial = false; // as the operator is told
        }
        assert!(
            found.state != State::Stale
                || !self.plan.is_peaceful()
                || self.plan.accidents.is_empty(),
            "n{machine} is stale though nothing keeps nodes from hearing each other: {}",
            found.why
        );
        if before != (found.state, found.why.clone()) {
            self.tell(format!("n{machine} is {:?}: {}", found.state, found.why));
        }
        let was_ready = matches!(before.0, State::Ready | State::Stale);
        let is_ready = matches!(found.state, State::Ready | State::Stale);
        if is_ready && !was_ready {
            self.check_entry(machine);
        }
        for (link, frame) in &steps.frames {
            if matches!(frame, Frame::Digests { .. }) {
                self.note_round(machine, *link, now.uptime_ms);
            }
        }
        self.carry_out(machine, steps);
        self.at(TICK_MS, Event::Tick(who));
    }

    fn note_round(&mut self, machine: usize, link: LinkId, began_ms: u64) {
        *self.rounds.entry(link).or_default() += 1;
        if self.machines[machine].process.as_ref().unwrap().serves {
            return;
        }
        let (connection, end) = place_of(link);
        let peer = self.network.connections[&connection].ends[1 - end];
        if self.machines[peer.machine].life == peer.life {
            let known = self.ledger.known(peer.machine);
            self.begun.insert((link, began_ms), known);
        }
    }

    fn carry_out(&mut self, machine: usize, steps: Steps) {
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

    fn await_commit(&mut self, machine: usize) {
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

    fn commit(&mut self, machine: usize) {
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

    /// Lets a node's writers write as much as fits on the wires.
    fn pump(&mut self, machine: usize) {
        let links: Vec<_> = self.process(machine).outboxes.keys().copied().collect();
        for link in links {
            self.pump_link(machine, link);
        }
    }

    fn pump_link(&mut self, machine: usize, link: LinkId) {
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

    fn send(&mut self, connection: u64, end: usize, sent: Sent) {
        if let Sent::Frame(bytes) = &sent {
            let frame = Frame::decode(bytes).unwrap().unwrap();
            self.ledger.hear(&frame);
            if frame == Frame::Gone {
                let End { machine, life } = self.network.connections[&connection].ends[end];
                self.have_forgotten.insert(Spot { machine, life });
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

    fn await_arrival(&mut self, connection: u64, end: usize) {
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
    fn arrive(&mut self, connection: u64, end: usize) {
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

    fn pump_sender(&mut self, connection: u64, end: usize) {
        let Some(one) = self.network.connections.get(&connection) else {
            return;
        };
        let (here, is_open) = (one.ends[end], one.is_open[end]);
        let machine = &self.machines[here.machine];
        if is_open && machine.life == here.life && machine.paused_until_ms <= self.now_ms {
            self.pump_link(here.machine, link_of(connection, end));
        }
    }

    fn receive(&mut self, connection: u64, end: usize, machine: usize, sent: Sent) {
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
            let leaver = Spot {
                machine: other,
                life,
            };
            self.hear_goodbye(machine, leaver);
        }
        let now = self.clocks(machine);
        let now_ms = self.now_ms;
        let process = self.process(machine);
        let steps = process.mesh.receive(link, frame, now);
        let steps = steps.expect("an honest node is garbled");
        assert_eq!(steps.pause_ms, 0);
        process.heard_ms = now_ms;
        if steps.joined.is_some() {
            process.met.entry(other).or_insert(now_ms);
        }
        self.carry_out(machine, steps);
    }

    /// A node that says goodbye leaves all that it took to who hears it, unless it was started again since then: it is
    /// heard itself, and what it took is on its disk, or was lost with that.
    fn hear_goodbye(&mut self, machine: usize, leaver: Spot) {
        let ended_life = leaver.life + 1;
        let [one, other] = [machine, leaver.machine].map(|place| &self.machines[place]);
        if other.life > ended_life || one.rules.quarantine.contains(&other.name) {
            return;
        }
        let hearer = self.spot(machine);
        if !self.have_forgotten.contains(&leaver) {
            self.machines[leaver.machine].left_heard.push(hearer);
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

    /// One end is closed by its node.
    fn hang_up(&mut self, connection: u64, end: usize, why: &str) {
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
        let peer = peer.map_or("nobody".to_owned(), |peer| peer.to_string());
        self.tell(format!("n{} lost {peer} on {link}: {why}", here.machine));
        if end == 0 {
            self.process(here.machine).mesh.tried(target);
            let who = self.spot(here.machine);
            self.dial_again(who, machine_at(target));
        }
        self.drop_connection(connection);
    }

    fn drop_connection(&mut self, connection: u64) {
        if self.network.connections[&connection].is_open == [false; 2] {
            self.network.connections.remove(&connection);
        }
    }

    fn dial_again(&mut self, who: Spot, whom: usize) {
        let after_ms = self.chance.between(50, 2_050);
        self.at(after_ms, Event::Dial { who, whom });
    }

    fn dial(&mut self, who: Spot, whom: usize) {
        let target = Self::address(whom);
        let mesh = &self.process(who.machine).mesh;
        if !mesh.is_target(target) {
            return;
        }
        if !mesh.is_wanted(target) {
            mesh.tried(target);
            self.dial_again(who, whom);
            return;
        }
        let takes_ms = (3 * self.network.paths[who.machine][whom].delay_ms).min(2_000);
        let late_ms = self.chance.between(0, 5);
        self.at(takes_ms + late_ms, Event::Connect { who, whom });
    }

    fn connect(&mut self, who: Spot, whom: usize) {
        let target = Self::address(whom);
        let is_there = self.machines[whom].process.is_some()
            && self.machines[whom].paused_until_ms <= self.now_ms
            && !self.network.paths[who.machine][whom].is_blocked
            && !self.network.paths[whom][who.machine].is_blocked
            && (self.is_over || !self.chance.one_in(20));
        if !is_there {
            self.process(who.machine).mesh.tried(target);
            self.dial_again(who, whom);
            return;
        }
        let ends = [self.spot(who.machine), self.spot(whom)].map(|spot| End {
            machine: spot.machine,
            life: spot.life,
        });
        let connection = self.network.connect(ends, target);
        let link = link_of(connection, 0);
        self.tell(format!("n{} calls n{whom} on {link}", who.machine));
        for end in 0..2 {
            let machine = ends[end].machine;
            let names = vec![self.machines[ends[1 - end].machine].name.clone()];
            let dialed = (end == 0).then_some(target);
            let now = self.clocks(machine);
            let link = link_of(connection, end);
            let process = self.process(machine);
            let hello = process.mesh.connect(link, end == 0, dialed, names, now);
            process.outboxes.insert(link, Outbox::new(&process.history));
            process.order(link, Order::Say(hello));
            self.pump_link(machine, link);
        }
    }

    // What happens to them.

    fn accident(&mut self) {
        if self.is_over {
            return;
        }
        let accident = self.chance.one_of(&self.plan.accidents).unwrap();
        let machine = self.chance.below(self.machines.len());
        self.befall(accident, machine);
        let after_ms = self.chance.between(1, self.plan.pace_ms);
        self.at(after_ms, Event::Accident);
    }

    fn befall(&mut self, accident: Accident, machine: usize) {
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
                // Whoever stands still already is not set going by that: what it is to do waits for the later moment.
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
    pub(super) fn thin(&mut self, from: usize, to: usize, rate: u64) {
        self.network.paths[from][to].bytes_per_second = Some(rate);
        self.tell(format!("n{from} -> n{to} carries {rate} bytes a second"));
    }

    /// Nothing of what one node sends arrives at the other.
    pub(super) fn block(&mut self, from: usize, to: usize) {
        self.network.paths[from][to].is_blocked = true;
        self.tell(format!("n{from} -> n{to} is cut"));
    }

    /// A time of day is wrong by so much from now on.
    pub(super) fn set_clock(&mut self, machine: usize, ahead_ms: i64) {
        self.machines[machine].ahead_ms = ahead_ms;
        self.tell(format!("n{machine}'s clock is {ahead_ms} ms ahead"));
    }

    /// Logouts at one node for a while, so many a second; the states that another one was in meanwhile, one after the
    /// other.
    pub(super) fn log_out_at(
        &mut self,
        machine: usize,
        per_second: u64,
        seconds: u64,
        watched: usize,
    ) -> Vec<State> {
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
    pub(super) fn comes_to_rest(&mut self) {
        let is_settled = self.becomes_settled();
        assert!(is_settled, "{}", self.differences());
    }

    fn state(&self, machine: usize) -> State {
        let process = self.machines[machine].process.as_ref();
        process.map_or(State::Starting, |process| process.state)
    }

    fn is_awake(&self, machine: usize) -> bool {
        self.machines[machine].paused_until_ms <= self.now_ms
    }

    fn revoke(&mut self, machine: usize) {
        for _ in 0..=self.chance.below(5) {
            let revocation = self.revocation();
            self.ledger.make(revocation);
            self.process(machine).revoke(revocation);
        }
        self.await_commit(machine);
    }

    fn revocation(&mut self) -> Revocation {
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

    fn token(&mut self, window: Window) -> Revocation {
        Revocation::Token {
            id: Id::from_bytes(self.chance.digest()),
            window,
            until: window.end().plus(MARGIN),
            source: Source::Verified,
        }
    }

    /// One of the windows of the next hours.
    fn window(&mut self) -> Window {
        let after = Duration::from_mins(self.chance.between(30, 180));
        Window::of(Some(self.now().plus(after)))
    }

    fn until(&mut self) -> UnixTime {
        let hours = self.chance.one_of(&[2, 3, 24, u64::MAX]).unwrap();
        match hours {
            u64::MAX => UnixTime::FOREVER,
            hours => self.now().plus(Duration::from_hours(hours)),
        }
    }

    pub(super) fn mend(&mut self, machine: usize) {
        let good_ms = self.plan.delay_ms;
        for other in 0..self.machines.len() {
            for (from, to) in [(machine, other), (other, machine)] {
                let path = &mut self.network.paths[from][to];
                path.is_blocked = false;
                path.delay_ms = good_ms;
                path.bytes_per_second = None;
            }
        }
        self.network.hasten(self.now_ms + SLOWEST_MS);
        self.tell(format!("all ways of n{machine} are mended"));
    }

    fn break_connection(&mut self, accident: Accident) {
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
    fn cut(&mut self, connection: u64, end: usize, is_told: bool) {
        if is_told {
            self.send(connection, end, Sent::End);
        } else if let Some(one) = self.network.connections.get_mut(&connection) {
            one.is_cut[end] = true;
        }
    }

    /// What was to be written is, and nobody is told any more.
    fn write_last(&mut self, machine: usize) {
        let now = self.clocks(machine);
        let one = &mut self.machines[machine];
        let process = one.process.as_mut().unwrap();
        let committed = process.commit(&mut one.disk, one.is_disk_failing, now);
        for (origin, number, revocation) in committed.numbered {
            self.ledger.number(origin, number, &revocation);
        }
    }

    /// A process is gone.
    fn end(&mut self, machine: usize, is_silent: bool) {
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
        let one = &mut self.machines[machine];
        one.process = None;
        one.life += 1;
        one.paused_until_ms = 0;
        self.ledger.forget(machine);
    }

    fn start_somehow(&mut self, machine: usize) {
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

    /// Tells everybody, and stops.
    fn leave(&mut self, machine: usize) {
        self.tell(format!("n{machine} leaves"));
        let writes_first = self.chance.one_in(2);
        if writes_first {
            self.write_last(machine);
        }
        let process = self.machines[machine].process.as_mut().unwrap();
        let (origin, _) = process.history.own();
        let mut left = self.ledger.of(origin);
        left.retain(|entry| holds(&process.set, self.ledger.revocation(*entry)));
        for outbox in process.outboxes.values_mut() {
            outbox.leave();
        }
        self.left.insert(self.spot(machine), left);
        self.pump(machine);
        self.machines[machine].has_left = self.chance.one_in(3);
        self.write_last(machine);
        for other in self.running() {
            self.process(other).met.remove(&machine);
        }
        self.end(machine, false);
    }

    fn step_clock(&mut self, machine: usize) {
        // One clock in a world may be wrong by hours.
        let steps_ms: &[i64] = if self.has_big_steps && machine == 1 {
            &[-7_200_000, -60_000, 0, 500, 40_000, 9_000_000]
        } else {
            &[-500_000, -20_000, -1_000, 0, 1_000, 20_000, 500_000]
        };
        let ahead_ms = self.chance.one_of(steps_ms).unwrap();
        self.set_clock(machine, ahead_ms);
    }

    fn force(&mut self, machine: usize) {
        let process = self.process(machine);
        process.is_forced = true;
        process.mesh.force_ready();
        self.tell(format!("n{machine} is forced"));
    }

    /// A peer of another name says to a node what no node would, and is gone again.
    fn meet_rogue(&mut self, machine: usize) {
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
            let heard = self.process(machine).mesh.receive(link, frame, now);
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

    /// Nobody listens to a node any more, or everybody does again.
    pub(super) fn quarantine(&mut self, machine: usize) {
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
            self.obey(other, listed);
        }
        if is_over {
            self.obey(machine, Vec::new());
        }
        self.tell(format!("quarantine of {name}: {}", !is_over));
    }

    /// What a node in quarantine has taken is not awaited any more: so the operator decided.
    fn obey(&mut self, machine: usize, quarantine: Vec<NodeName>) {
        let names: Vec<_> = self.machines.iter().map(|one| one.name.clone()).collect();
        let one = &mut self.machines[machine];
        one.rules.quarantine = quarantine;
        let rules = one.rules.clone();
        if let Some(process) = &mut one.process {
            process.met.clear();
            let inherited = &mut process.inherited;
            inherited.retain(|(_, leaver, _)| !rules.quarantine.contains(&names[*leaver]));
            let steps = process.mesh.obey(rules);
            self.carry_out(machine, steps);
        }
    }

    // What must be so.

    fn look(&mut self) {
        for (machine, one) in self.machines.iter().enumerate() {
            if let Some(process) = &one.process {
                let now_ms = self.now_ms;
                self.ledger
                    .look(machine, &process.set, &process.history, now_ms);
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

    /// Notes who hears whom well.
    fn look_at_connections(&mut self) {
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
                            && process.outboxes.get(&link).is_some_and(Outbox::is_idle)
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
    fn check_knowledge(&self, machine: usize) {
        let one = &self.machines[machine];
        let Some(process) = &one.process else {
            return;
        };
        let is_ready = process.state == State::Ready;
        let is_late = self.now_ms - process.ticked_ms > 2 * TICK_MS;
        if !is_ready || is_late || !self.is_awake(machine) {
            return;
        }
        for (at_ms, leaver, entry) in &process.inherited {
            let left = self.ledger.revocation(*entry);
            assert!(
                at_ms + SILENCE_MAX_MS + 2 * TICK_MS > self.now_ms || holds(&process.set, left),
                "n{machine} is ready without {left:?} of n{leaver}, which left at {at_ms} ms"
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

    /// A node that says it is ready knows all that was answered five seconds ago by whom it has met, whatever the ways
    /// between them are.
    fn check_age(&self, machine: usize, process: &Process) {
        let Some(until_ms) = process.ticked_ms.checked_sub(SILENCE_MAX_MS + DRIFT_MS) else {
            return;
        };
        for (other, met_ms) in &process.met {
            let Some(there) = &self.machines[*other].process else {
                continue;
            };
            let (origin, _) = there.history.own();
            if *met_ms > until_ms {
                continue;
            }
            if let Some(entry) = self.ledger.late(machine, origin, until_ms) {
                let missing = self.ledger.revocation(entry);
                panic!("n{machine} is ready without {missing:?}, which n{other} answered long ago");
            }
        }
    }

    /// A node that was not ready and is now knows what those knew with whom it has compared.
    fn check_entry(&mut self, machine: usize) {
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
            let Some(known) = self.begun.get(&(link, began_ms)) else {
                continue;
            };
            let held = self.ledger.held(&process.set);
            let missing = known.iter().find(|entry| !held.contains(entry));
            if let Some(entry) = missing {
                let missing = self.ledger.revocation(*entry);
                panic!("n{machine} has compared and lacks {missing:?}");
            }
        }
        self.begun.retain(|(link, _), _| {
            let (connection, end) = place_of(*link);
            let connection = self.network.connections.get(&connection);
            connection.is_some_and(|connection| connection.ends[end].machine != machine)
        });
    }

    /// What a node and its disk say they know they know.
    fn check_claims(&self, machine: usize) {
        let now = self.now();
        let one = &self.machines[machine];
        if let Some(process) = &one.process {
            let vector = process.history.vector();
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
    fn check_origins(&self, machine: usize) {
        let one = &self.machines[machine];
        let process = one.process.as_ref().unwrap();
        let is_machine = |node: &String| node.starts_with('n');
        assert!(
            one.disk.nodes.values().all(is_machine),
            "{:?}",
            one.disk.nodes
        );
        let counted = process.history.vector().len();
        let most = 2 + ORIGINS_A_NODE * self.machines.len();
        assert!(counted <= most, "n{machine} counts {counted} origins");
    }

    // The end.

    /// Everything is mended, and everybody comes back but those who have left.
    fn make_peace(&mut self) {
        self.tell("peace");
        self.is_over = true;
        for machine in 0..self.machines.len() {
            let ahead_ms = i64::try_from(self.chance.between(0, 2_000)).unwrap() - 1_000;
            self.mend(machine);
            let one = &mut self.machines[machine];
            one.ahead_ms = ahead_ms;
            one.is_disk_failing = false;
            one.disk_ms = 1;
            let has_rogue = self.plan.accidents.contains(&Accident::Rogue);
            let quarantine = has_rogue.then(rogue::name).into_iter().collect();
            self.obey(machine, quarantine);
        }
        for machine in 0..self.machines.len() {
            let one = &self.machines[machine];
            let is_needed = machine == 0 && self.plan.is_star;
            if one.process.is_none() && (is_needed || !one.has_left) {
                self.start(machine);
            }
        }
    }

    /// All come to know the same and are ready.
    fn settle(&mut self) {
        let known = self.known_somewhere();
        if !self.becomes_settled() {
            self.intervene();
            let is_settled = self.becomes_settled();
            assert!(is_settled, "peace does not come: {}", self.differences());
        }
        for machine in self.running() {
            let process = self.machines[machine].process.as_ref().unwrap();
            let held = self.ledger.held(&process.set);
            let lost = known.iter().find(|entry| !held.contains(entry));
            let lost = lost.map(|entry| self.ledger.revocation(*entry));
            assert_eq!(lost, None, "n{machine} has never heard of it");
            self.check_revivals(machine, &known);
            for revocation in process.mesh.revocations() {
                let is_made = self.ledger.allows(&revocation);
                assert!(
                    is_made,
                    "n{machine} holds {revocation:?}, which nobody made"
                );
            }
        }
    }

    /// The newer of a revival and of the last end counts, here as everywhere.
    fn check_revivals(&self, machine: usize, known: &[Entry]) {
        let set = &self.machines[machine].process.as_ref().unwrap().set;
        set.let_revive(true);
        for number in 0..4 {
            let token = Id::from_bytes([number; 16]);
            let undated = Revocation::of_session(token, UnixTime::FOREVER);
            if let Some(lives) = self.ledger.is_revived(&token, known)
                && set.holds(&undated)
            {
                let is_dead = set.has_undated_token(&token);
                assert_eq!(is_dead, !lives, "n{machine} judges {token:?} otherwise");
            }
        }
        set.let_revive(false);
    }

    /// Whether it is so in time, and stays so when connections are given up that have been dead for some time.
    fn becomes_settled(&mut self) -> bool {
        let end_ms = self.now_ms + PEACE_MS;
        while self.now_ms < end_ms {
            self.pass(end_ms - self.now_ms, Self::is_settled);
            if self.is_settled() && !self.pass(PATIENCE_MS, |world| !world.is_settled()) {
                return true;
            }
        }
        false
    }

    /// What was answered and is known to a node or a disk that takes part in the end.
    fn known_somewhere(&self) -> Vec<Entry> {
        let mut known = Vec::new();
        for machine in self.running() {
            let one = &self.machines[machine];
            known.extend(self.ledger.held(&one.disk.set(self.now())));
            known.extend(self.ledger.held(&one.process.as_ref().unwrap().set));
        }
        known.sort_unstable();
        known.dedup();
        known
    }

    fn is_settled(&self) -> bool {
        if (0..self.machines.len()).any(|machine| !self.is_awake(machine)) {
            return false;
        }
        let mut processes = self.machines.iter().filter_map(|one| one.process.as_ref());
        let is_ready = |process: &Process| {
            process.state == State::Ready
                || process.state == State::Stale && self.is_somebody_missed(&process.why)
        };
        let Some(first) = processes.next() else {
            return true;
        };
        let same = first.set.summaries(UnixTime::EPOCH);
        let sums = |process: &Process| {
            let theirs = process.set.summaries(UnixTime::EPOCH);
            let all = theirs.iter().zip(&same);
            theirs.len() == same.len()
                && all.into_iter().all(|(theirs, same)| {
                    (theirs.section, theirs.count, theirs.sum)
                        == (same.section, same.count, same.sum)
                })
        };
        is_ready(first) && processes.all(|process| is_ready(process) && sums(process))
    }

    /// Whether this is said of a node that stays away, and nobody who is there has heard it say so.
    fn is_somebody_missed(&self, why: &str) -> bool {
        let is_heard = |spot: &Spot| self.machines[spot.machine].life == spot.life;
        let mut missed = self
            .machines
            .iter()
            .filter(|one| why.contains(one.name.as_str()));
        // What is told late may sound like a sign of life from after the goodbye.
        let is_late = |accident: &Accident| {
            matches!(
                accident,
                Accident::Slow | Accident::Thin | Accident::Pause | Accident::Quarantine
            )
        };
        let may_be_late = self.plan.accidents.iter().any(is_late);
        missed.any(|one| one.has_left && (may_be_late || !one.left_heard.iter().any(is_heard)))
    }

    /// The operator does what only the operator can do.
    fn intervene(&mut self) {
        let running = self.running();
        let is_ready = |world: &Self, machine: &usize| {
            let state = world.machines[*machine].process.as_ref().unwrap().state;
            matches!(state, State::Ready | State::Stale)
        };
        let nobody_is_ready = !running.iter().any(|machine| is_ready(self, machine));
        let somebody_is_away = running.len() < self.machines.len();
        let nobody_is_complete = !running
            .iter()
            .any(|machine| self.machines[*machine].disk.is_complete);
        assert!(
            nobody_is_ready && (nobody_is_complete || somebody_is_away),
            "peace does not come: {}",
            self.differences()
        );
        self.force(running[0]);
    }

    fn differences(&self) -> String {
        let told = self.running().into_iter().map(|machine| {
            let process = self.machines[machine].process.as_ref().unwrap();
            let count = process.mesh.revocations().len();
            format!(
                "n{machine} is {:?} with {count}: {}",
                process.state, process.why
            )
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Once all know the same nothing is sent any more but signs of life, and sums now and then.
    fn be_quiet(&mut self) {
        self.tell("quiet");
        self.is_quiet = true;
        self.rounds.clear();
        let quiet_ms = self.plan.quiet_ms;
        self.pass(quiet_ms, |_| false);
        for (link, rounds) in &self.rounds {
            assert!(*rounds <= 3, "{rounds} comparisons of link {link}");
        }
        assert!(self.is_settled(), "{}", self.differences());
        for machine in self.running() {
            self.check_claims(machine);
            self.check_origins(machine);
        }
    }
}

fn machine_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        unreachable!("all have short addresses");
    };
    usize::from(address.ip().octets()[3]) - 1
}

/// Whether a frame is said that brings nobody anything new.
fn is_small_talk(frame: &Frame) -> bool {
    if let Frame::Differ { summaries, .. } = frame {
        return summaries.is_empty();
    }
    matches!(
        frame,
        Frame::Ping(_) | Frame::Pong { .. } | Frame::Digests { .. }
    )
}
