//! A world of machines: its time passes when something happens, and everything that happens follows from its seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;

use crate::clock::UnixTime;
use crate::cluster::protocol::bus::{EntryId, SessionId};
use crate::cluster::protocol::frame::{Frame, ReconcileStep};
use crate::cluster::protocol::mesh::{LinkId, Now};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::cluster::simulation::bus_server::{NewSimulatedEntry, SimulatedBus};
use crate::cluster::simulation::chance::Chance;
use crate::cluster::simulation::ledger::{LedgerEntry, RevocationLedger};
use crate::cluster::simulation::network::{Network, place_of};
use crate::cluster::simulation::plan::{Accident, WorldPlan};
use crate::cluster::simulation::process::{Disk, SimulatedProcess};
use crate::revocation::{NodeName, Origin, SyncPhase};

/// What the right clocks show when a world begins, in milliseconds.
pub(crate) const DAWN_MS: u64 = 1_790_000_000_000;

/// How often a node asks what is due, as `node` does.
pub(crate) const TICK_MS: u64 = 100;

/// How long a peer may take for what was said before it is hung up on, as in `outbox`.
pub(crate) const HANG_UP_MS: u64 = 500;

/// How often it is checked which machine knows what.
pub(crate) const LOOK_MS: u64 = 100;

/// After which time what is known on one side of a good connection must be known on the other one.
pub(crate) const REPAIR_MS: u64 = 2_500;

/// The time of peace after which all nodes must be ready and know the same.
pub(crate) const PEACE_MS: u64 = 60_000;

/// The silence after which a node is missed, and a node that did not run is not ready.
pub(crate) const SILENCE_MAX_MS: u64 = 5_000;

/// By how much a moment may be misjudged, since clocks drift apart.
pub(crate) const DRIFT_MS: u64 = 50;

/// The longest delay of a path.
pub(crate) const SLOWEST_MS: u64 = 4_000;

/// After which time dead connections have been given up and others are there.
pub(crate) const PATIENCE_MS: u64 = 9_000;

/// In every third world there is a bus.
const BUS_EVERY: u64 = 3;

/// The links of rogues have numbers beyond those of connections.
pub(crate) const ROGUE_LINKS: LinkId = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Look,
    Accident,
    Tick(NodeLife),
    Commit(NodeLife),
    Dial {
        who: NodeLife,
        callee: usize,
    },
    Connect {
        who: NodeLife,
        callee: usize,
    },
    Arrive {
        connection: u64,
        end: usize,
    },
    HangUp {
        who: NodeLife,
        link: LinkId,
    },
    OpenBus(NodeLife),
    ReadBus(NodeLife),
    /// A batch of entries reaches the bus.
    AddToBus(u64),
    /// Its answer reaches the node.
    AddedToBus {
        who: NodeLife,
        batch: u64,
    },
}

/// A node in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeLife {
    pub(crate) machine: usize,
    pub(crate) life: u64,
}

pub(crate) struct Machine {
    pub(crate) name: NodeName,
    pub(crate) targets: Vec<usize>,
    pub(crate) rules: ReadinessPolicy,
    /// How far its wall clock is ahead, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// By how many millionths both its clocks are too fast.
    pub(crate) drift_ppm: u64,
    pub(crate) life: u64,
    pub(crate) process: Option<SimulatedProcess>,
    /// It does not run until then.
    pub(crate) paused_until_ms: u64,
    pub(crate) disk: Disk,
    pub(crate) copies: Vec<Disk>,
    pub(crate) is_disk_failing: bool,
    pub(crate) disk_ms: u64,
    /// It said goodbye, and stays away.
    pub(crate) has_left: bool,
    /// The nodes that have heard that.
    pub(crate) left_heard: Vec<NodeLife>,
}

/// What has happened, told when something went wrong.
#[derive(Default)]
pub(crate) struct Story(Vec<String>);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("\n"));
        }
    }
}

/// Entries on their way to the server, or their answer on its way back.
pub(crate) struct SimulatedBatch {
    pub(crate) who: NodeLife,
    pub(crate) session_id: SessionId,
    pub(crate) entries: Vec<NewSimulatedEntry>,
    /// When it was sent, by the clock of the node and that of the world.
    pub(crate) asked_ms: u64,
    pub(crate) sent_ms: u64,
    /// How far the node's own rows go in it.
    pub(crate) published: (Origin, u64),
    pub(crate) newest: EntryId,
}

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) plan: WorldPlan,
    pub(crate) now_ms: u64,
    pub(crate) turn: u64,
    pub(crate) events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    /// `None`: there is no bus.
    pub(crate) bus: Option<SimulatedBus>,
    /// What is on its way to the bus, or is answered.
    pub(crate) batches: BTreeMap<u64, SimulatedBatch>,
    pub(crate) batches_sent: u64,
    pub(crate) ledger: RevocationLedger,
    /// Over which connection two machines hear each other well, and since when.
    pub(crate) good: BTreeMap<(usize, usize), (u64, u64)>,
    /// What was answered and known to a peer when a comparison with it began, by machine, link and moment.
    pub(crate) begun: BTreeMap<(usize, LinkId, u64), Vec<LedgerEntry>>,
    /// The nodes that could not bring another one up to date without a comparison.
    pub(crate) have_forgotten: BTreeSet<NodeLife>,
    /// What nodes had taken that said goodbye.
    pub(crate) left: BTreeMap<NodeLife, Vec<LedgerEntry>>,
    /// Nothing happens any more.
    pub(crate) is_over: bool,
    /// Comparisons that were begun since all nodes knew the same.
    pub(crate) reconciliations: BTreeMap<(usize, LinkId), u64>,
    pub(crate) is_quiet: bool,
    pub(crate) has_big_steps: bool,
    /// How many connections a rogue has made.
    pub(crate) rogues: u64,
    pub(crate) story: Story,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut plan = WorldPlan::random(&mut chance);
        if seed.is_multiple_of(BUS_EVERY) {
            plan = plan.with_bus(&mut chance);
        }
        Self::from_plan(plan, chance)
    }

    /// All nodes of a plan run and are ready, and nothing happens to them by itself.
    pub(crate) fn staged(machines: usize, seed: u64) -> Self {
        Self::staged_by(WorldPlan::staged(machines), seed)
    }

    /// The same with nodes that a bus alone connects.
    pub(crate) fn staged_at_bus(machines: usize, seed: u64) -> Self {
        Self::staged_by(WorldPlan::staged_at_bus(machines), seed)
    }

    fn staged_by(plan: WorldPlan, seed: u64) -> Self {
        let machines = plan.machines;
        let mut world = Self::from_plan(plan, Chance::new(seed));
        for machine in 0..machines {
            world.start(machine);
        }
        world.at(0, Event::Look);
        let are_ready =
            |world: &Self| (0..machines).all(|one| world.state(one) == SyncPhase::Ready);
        assert!(
            world.pass(PATIENCE_MS, are_ready),
            "{}",
            world.differences()
        );
        world
    }

    pub(crate) fn from_plan(plan: WorldPlan, mut chance: Chance) -> Self {
        let count = plan.machines;
        let machines = (0..count).map(|machine| {
            let called = |other: &usize| {
                let is_called = !plan.is_star || *other == 0 || machine == 0;
                is_called && (*other != machine || plan.calls_itself)
            };
            let name = NodeName::parse(&format!("n{machine}")).unwrap();
            Machine {
                targets: (0..count)
                    .filter(|other| called(other) && plan.bus.is_none_or(|bus| !bus.is_only_way))
                    .collect(),
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
            bus: plan
                .bus
                .map(|bus| SimulatedBus::new(count, plan.delay_ms, bus.kept_ms)),
            batches: BTreeMap::new(),
            batches_sent: 0,
            chance,
            now_ms: 0,
            turn: 0,
            events: BinaryHeap::new(),
            machines,
            ledger: RevocationLedger::with_nodes(count),
            good: BTreeMap::new(),
            begun: BTreeMap::new(),
            have_forgotten: BTreeSet::new(),
            left: BTreeMap::new(),
            is_over: false,
            reconciliations: BTreeMap::new(),
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
    pub(crate) fn play(mut self) -> usize {
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

    pub(crate) fn tell(&mut self, what: impl AsRef<str>) {
        let line = format!("{:>7} ms  {}", self.now_ms, what.as_ref());
        self.story.0.push(line);
    }

    /// What a machine's clocks show.
    pub(crate) fn clocks(&self, machine: usize) -> Now {
        let one = &self.machines[machine];
        let passed_ms = self.now_ms + self.now_ms * one.drift_ppm / 1_000_000;
        Now {
            uptime_ms: 1_000_000 * (machine as u64 + 1) + passed_ms,
            wall_ms: (DAWN_MS + passed_ms).saturating_add_signed(one.ahead_ms),
        }
    }

    /// What time it is really.
    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_seconds((DAWN_MS + self.now_ms) / 1_000)
    }

    pub(crate) fn at(&mut self, after_ms: u64, event: Event) {
        self.turn += 1;
        let event = Reverse((self.now_ms + after_ms, self.turn, event));
        self.events.push(event);
    }

    /// Lets time pass, at the most so much, until something is so.
    pub(crate) fn pass(&mut self, ms: u64, is_so: impl Fn(&Self) -> bool) -> bool {
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

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Look => self.look(),
            Event::Accident => self.accident(),
            Event::Tick(who) => self.when_awake(who, event, |world| world.tick(who)),
            Event::Commit(who) => self.when_awake(who, event, |world| world.commit(who.machine)),
            Event::Dial { who, callee } => {
                self.when_awake(who, event, |world| world.dial(who, callee));
            }
            Event::Connect { who, callee } => {
                self.when_awake(who, event, |world| world.connect(who, callee));
            }
            Event::Arrive { connection, end } => self.arrive(connection, end),
            Event::HangUp { who, link } => self.when_awake(who, event, |world| {
                let (connection, end) = place_of(link);
                world.hang_up(connection, end, "it takes nothing");
            }),
            Event::OpenBus(who) => self.when_awake(who, event, |world| world.open_bus(who)),
            Event::ReadBus(who) => self.when_awake(who, event, |world| world.read_bus(who)),
            Event::AddToBus(batch) => self.add_to_bus(batch),
            Event::AddedToBus { who, batch } => {
                self.when_awake(who, event, |world| world.added_to_bus(who, batch));
            }
        }
    }

    /// Does what a node does, later if it does not run now.
    pub(crate) fn when_awake(&mut self, who: NodeLife, event: Event, act: impl FnOnce(&mut Self)) {
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

    pub(crate) fn spot(&self, machine: usize) -> NodeLife {
        let life = self.machines[machine].life;
        NodeLife { machine, life }
    }

    pub(crate) fn address(machine: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, u8::try_from(machine).unwrap() + 1], 7946))
    }

    pub(crate) fn process(&mut self, machine: usize) -> &mut SimulatedProcess {
        self.machines[machine].process.as_mut().unwrap()
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        let all = 0..self.machines.len();
        all.filter(|machine| self.machines[*machine].process.is_some())
            .collect()
    }
}

pub(crate) fn machine_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        unreachable!("all have short addresses");
    };
    usize::from(address.ip().octets()[3]) - 1
}

/// Whether a frame brings nothing new.
pub(crate) fn is_small_talk(frame: &Frame) -> bool {
    match frame {
        Frame::Ping(_) | Frame::Pong { .. } => true,
        Frame::Reconcile { step, .. } => match step {
            ReconcileStep::Summaries { .. } => true,
            ReconcileStep::Differences { summaries, .. } => summaries.is_empty(),
            ReconcileStep::SendAll { .. }
            | ReconcileStep::Negotiate { .. }
            | ReconcileStep::Fetch { .. }
            | ReconcileStep::Rows { .. } => false,
        },
        Frame::Hello(_)
        | Frame::Delta { .. }
        | Frame::Unnumbered(_)
        | Frame::Ack { .. }
        | Frame::RequestRows { .. }
        | Frame::CompareSets
        | Frame::Goodbye(_)
        | Frame::Certificates(_) => false,
    }
}
