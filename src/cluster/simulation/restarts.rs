//! A node that starts again and again with an empty disk: what the others keep of it is bounded, and nothing is forgotten.

use std::collections::VecDeque;

use bytes::Bytes;

use super::arguments::asked_for;
use super::chance::Chance;
use super::ledger::holds;
use super::network::{Sent, SimulatedCommand};
use super::process::{Disk, SimulatedOutbox, SimulatedProcess, wall};
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::membership::ORIGINS_A_NODE;
use crate::cluster::protocol::mesh::{LinkId, Now};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::cluster::settings::StalePolicy;
use crate::revocation::{Id, MARGIN, NodeName, Revocation, Source, SyncPhase, Window};

/// How often a node starts anew, unless `restarts:` says otherwise.
const RESTARTS: u64 = 500;

/// How often a node of another name comes, revokes something, and leaves for good.
const GUEST_EVERY: u64 = 200;

/// How often something is revoked before the node starts anew.
const REVOKED_EVERY: u64 = 50;

/// The two that stay, and the one that does not.
const STAYING: [usize; 2] = [0, 1];
const RESTARTING: usize = 2;

struct Town {
    chance: Chance,
    now_ms: u64,
    nodes: Vec<(SimulatedProcess, Disk)>,
    /// Frames that were sent and have not arrived: to which node, on which link.
    under_way: VecDeque<(usize, LinkId, Bytes)>,
}

fn rules() -> ReadinessPolicy {
    ReadinessPolicy {
        on_stale: StalePolicy::Refuse,
        on_isolated: StalePolicy::Refuse,
        bootstrap_timeout_ms: 1_000,
        new_cluster: false,
        quarantine: Vec::new(),
    }
}

/// The number that one node has for its connection to another.
fn link(from: usize, to: usize) -> LinkId {
    (from * 10 + to) as LinkId
}

impl Town {
    fn new() -> Self {
        let mut town = Self {
            chance: Chance::new(13),
            now_ms: 0,
            nodes: Vec::new(),
            under_way: VecDeque::new(),
        };
        for number in STAYING {
            let name = NodeName::parse(&format!("n{number}")).unwrap();
            let mut disk = Disk::empty(&mut town.chance, &name);
            disk.is_complete = true;
            let process = town.process(&name, &disk);
            town.nodes.push((process, disk));
        }
        town.connect(0, 1);
        town
    }

    fn now(&self) -> Now {
        Now {
            uptime_ms: 1_000_000 + self.now_ms,
            wall_ms: 1_790_000_000_000 + self.now_ms,
        }
    }

    fn process(&self, name: &NodeName, disk: &Disk) -> SimulatedProcess {
        let now = self.now();
        let process = SimulatedProcess::start(name, disk, rules(), 64, now, self.now_ms);
        process.mesh.set_targets(&[], true, now);
        process
    }

    fn connect(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            let name = self.nodes[to].0.mesh.name.clone();
            let now = self.now();
            let process = &mut self.nodes[from].0;
            let hello = process
                .mesh
                .connect(link(from, to), from == one, None, vec![name], now);
            process.outboxes.insert(
                link(from, to),
                SimulatedOutbox::new(&process.replication_log),
            );
            process.order(link(from, to), SimulatedCommand::Send(hello));
        }
        self.exchange();
    }

    /// Everything that is to be said arrives.
    fn exchange(&mut self) {
        loop {
            for from in 0..self.nodes.len() {
                let links: Vec<_> = self.nodes[from].0.outboxes.keys().copied().collect();
                for out in links {
                    self.write(from, out);
                }
            }
            let Some((to, link, bytes)) = self.under_way.pop_front() else {
                return;
            };
            let frame = Frame::decode(&bytes).unwrap().unwrap();
            let now = self.now();
            let (process, disk) = &mut self.nodes[to];
            let steps = process.mesh.on_message(link, frame, now).unwrap();
            process.carry_out(steps, &mut self.chance);
            process.commit(disk, false, now);
        }
    }

    fn write(&mut self, from: usize, out: LinkId) {
        let process = &mut self.nodes[from].0;
        let to = usize::try_from(out).unwrap() % 10;
        while let Some(outbox) = process.outboxes.get_mut(&out) {
            let Some((sent, why)) = outbox.write(&process.mesh, &mut self.chance) else {
                return;
            };
            assert_eq!(why, None, "no node is hung up on");
            for one in sent {
                if let Sent::Frame(bytes) = one {
                    self.under_way.push_back((to, link(to, from), bytes));
                }
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = self.now();
        for (process, disk) in &mut self.nodes {
            let (steps, found) = process.mesh.tick(now);
            process.state = found.state;
            process.why = found.why;
            process.carry_out(steps, &mut self.chance);
            process.commit(disk, false, now);
        }
        self.exchange();
    }

    /// A node of this name lives for a moment, with an empty disk, and may revoke something.
    fn life(&mut self, name: &str, revokes: Option<Revocation>, says_goodbye: bool) {
        let name = NodeName::parse(name).unwrap();
        let mut disk = Disk::empty(&mut self.chance, &name);
        let mut process = self.process(&name, &disk);
        if let Some(revocation) = revokes {
            process.revoke(revocation);
            process.commit(&mut disk, false, self.now());
        }
        self.nodes.push((process, disk));
        for other in STAYING {
            self.connect(RESTARTING, other);
        }
        self.pass(100);
        let (process, _) = self.nodes.pop().unwrap();
        drop(process);
        self.under_way.clear();
        for other in STAYING {
            let now = self.now();
            let (staying, _) = &mut self.nodes[other];
            let link = link(other, RESTARTING);
            if says_goodbye {
                let leaving = Frame::Goodbye(Goodbye::Leaving);
                let _ = staying.mesh.on_message(link, leaving, now).unwrap();
            }
            staying.outboxes.remove(&link);
            staying.mesh.disconnect(link);
        }
        self.pass(900);
    }

    fn revocation(&mut self) -> Revocation {
        let window = Window::of(Some(wall(self.now()).plus(12 * MARGIN)));
        Revocation::Token {
            id: Id::from_bytes(self.chance.digest()),
            window,
            until: window.end().plus(MARGIN),
            source: Source::Verified,
        }
    }

    fn is_bounded(&self, guests: u64) {
        let most = 2 + ORIGINS_A_NODE + usize::try_from(guests).unwrap();
        for (process, disk) in &self.nodes {
            let counted = process.replication_log.vector().len();
            assert!(counted <= most, "{counted} origins are counted");
            assert!(disk.vector.len() <= most && disk.nodes.len() <= most);
            let ping = Frame::Ping(process.mesh.ping(self.now())).encode();
            assert!(ping.len() < 16 << 10, "a ping has {} bytes", ping.len());
            assert!(Frame::decode(&ping).unwrap().is_some());
        }
    }
}

#[test]
fn ten_thousand_restarts_on_empty_disks_leave_nothing_behind_but_revocations_attacks_a13() {
    let mut town = Town::new();
    let mut revoked = Vec::new();
    let mut guests = 0;
    for restart in 1..=asked_for("restarts:").unwrap_or(RESTARTS) {
        let is_guest = restart % GUEST_EVERY == 0;
        let ended = (restart % REVOKED_EVERY == 0).then(|| town.revocation());
        revoked.extend(ended);
        if is_guest {
            guests += 1;
            town.life(&format!("n1{guests}"), ended, true);
        } else {
            town.life("n2", ended, restart % 3 == 0);
        }
        if restart % 500 == 0 {
            town.is_bounded(guests);
        }
    }
    town.life("n2", None, true);
    for (process, disk) in &town.nodes {
        assert_eq!(process.state, SyncPhase::Ready, "{}", process.why);
        let on_disk = disk.set(wall(town.now()));
        for revocation in &revoked {
            assert!(holds(&process.set, revocation) && holds(&on_disk, revocation));
        }
    }
    for _ in 0..70 {
        town.pass(1_000); // what ended is counted for a minute
    }
    for (process, disk) in &town.nodes {
        let counted = process.replication_log.vector().len() as u64;
        assert_eq!(counted, 3 + guests, "one for each node");
        assert!(disk.vector.len() as u64 <= 3 + guests);
    }
}
