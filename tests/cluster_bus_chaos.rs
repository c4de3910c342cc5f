//! Whatever happens to nodes and their bus, in whatever order: when it is over, all of them know every logout.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Chance, Cluster, Ledger, Name, RedisServer, STREAM};

const NODES: [Name; 3] = ["a", "b", "c"];
const STEPS: usize = 20;

/// What becomes of the bus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bus {
    Up,
    Down,
    Hanging,
}

struct World {
    cluster: Cluster,
    bus: RedisServer,
    state: Bus,
    chance: Chance,
}

impl World {
    /// Something happens; what it was.
    #[track_caller]
    fn goes_on(&mut self) -> String {
        match (self.chance.below(10), self.state) {
            (0, Bus::Up) => {
                self.bus.kill();
                self.state = Bus::Down;
                "the bus falls".to_owned()
            }
            (1, Bus::Up) => {
                self.bus.signal("STOP");
                self.state = Bus::Hanging;
                "the bus hangs".to_owned()
            }
            (2, Bus::Up) => {
                self.bus.ask(&["FLUSHALL"]);
                "the bus is flushed".to_owned()
            }
            (3, Bus::Up) => {
                self.bus.ask(&["XTRIM", STREAM, "MAXLEN", "0"]);
                "the stream is trimmed".to_owned()
            }
            (0..=4, Bus::Down | Bus::Hanging) => self.bus_returns(),
            (5..=7, _) => {
                let name = NODES[self.chance.below(NODES.len())];
                self.something_happens_to(name)
            }
            (_, _) => "nothing".to_owned(),
        }
    }

    #[track_caller]
    fn bus_returns(&mut self) -> String {
        let told = match self.state {
            Bus::Up => return "the bus is there".to_owned(),
            Bus::Hanging => {
                self.bus.signal("CONT");
                "the bus goes on"
            }
            Bus::Down if self.chance.below(2) == 0 => {
                self.bus.lose_data();
                self.bus.start_again();
                "the bus is back, empty"
            }
            Bus::Down => {
                self.bus.start_again();
                "the bus is back"
            }
        };
        self.state = Bus::Up;
        told.to_owned()
    }

    #[track_caller]
    fn something_happens_to(&mut self, name: Name) -> String {
        let running = self.cluster.running();
        if !running.contains(&name) {
            self.cluster.start(&[name]);
            return format!("{name} starts");
        }
        if running.len() == 1 {
            return "nothing".to_owned();
        }
        if self.chance.below(2) == 0 {
            self.cluster.kill(name);
            return format!("{name} is killed");
        }
        self.cluster.stop(name);
        format!("{name} is stopped")
    }
}

#[test]
fn whatever_happens_to_a_bus_every_answered_logout_is_kept() {
    let seed: u64 = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    eprintln!("seed {seed}");
    let bus = RedisServer::start();
    let plan = Cluster::of(&NODES).everywhere("peers", "[]");
    let mut world = World {
        cluster: plan.everywhere("bus", &bus.bus("")).start(),
        bus,
        state: Bus::Up,
        chance: Chance(seed),
    };
    let mut ledger = Ledger::default();
    ledger.spare(&world.cluster);
    for step in 0..STEPS {
        eprintln!("{step}: {}", world.goes_on());
        for name in world.cluster.running() {
            ledger.log_out(&world.cluster, name); // who is not ready may answer 503
            ledger.check_own_at(&world.cluster, name);
        }
    }
    world.bus_returns();
    let running = world.cluster.running();
    let over = NODES.into_iter().filter(|name| !running.contains(name));
    world.cluster.start(&over.collect::<Vec<_>>());
    world.cluster.form(&NODES);
    ledger.converges(&world.cluster);
    eprintln!("{} logouts were answered", ledger.logouts());
}
