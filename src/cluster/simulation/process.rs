//! One life of a node on its machine: the mesh and all that is around it in `node`, `outbox` and the committer, with a
//! disk that survives.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, watch};

use super::bus_client::SimulatedBusClient;
use super::chance::Chance;
use super::ledger::LedgerEntry;
use super::network::{Sent, SimulatedCommand};
use crate::clock::UnixTime;
use crate::cluster::protocol::frame::{Frame, Goodbye, ROWS_MAX};
use crate::cluster::protocol::membership::Chain;
use crate::cluster::protocol::mesh::{LinkId, Mesh, Now, Steps};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::revocation::{
    Import, NodeName, Origin, Progress, ReplicationLog, Revocation, Row, Set, SyncPhase,
    VersionVector,
};

/// What is on a disk.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) rows: Vec<Revocation>,
    pub(super) vector: VersionVector,
    pub(super) nodes: BTreeMap<Origin, String>,
    pub(super) origin: Origin,
    pub(super) is_complete: bool,
    /// How far the bus was read.
    pub(super) stream: Option<(u64, u64)>,
}

impl Disk {
    pub(super) fn empty(chance: &mut Chance, name: &NodeName) -> Self {
        Self {
            rows: Vec::new(),
            vector: VersionVector::new(),
            nodes: BTreeMap::new(),
            origin: origin_of(name, chance),
            is_complete: false,
            stream: None,
        }
    }

    /// What a node would hold that starts from it.
    pub(super) fn set(&self, now: UnixTime) -> Set {
        let set = Set::default();
        for revocation in &self.rows {
            set.insert(revocation, now);
        }
        set
    }
}

/// A node while it runs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, known at another time"
)]
pub(super) struct SimulatedProcess {
    pub(super) mesh: Mesh,
    pub(super) set: Arc<Set>,
    pub(super) replication_log: Arc<ReplicationLog>,
    pub(super) outboxes: BTreeMap<LinkId, SimulatedOutbox>,
    /// `None`: there is no bus.
    pub(super) bus: Option<SimulatedBusClient>,
    /// Where it stands, as its last tick found, and whether it serves.
    pub(super) state: SyncPhase,
    pub(super) serves: bool,
    pub(super) why: String,
    pub(super) ticked_ms: u64,
    pub(super) is_forced: bool,
    pub(super) is_initial: bool,
    /// What is to be revoked by the next transaction.
    fresh: Vec<Revocation>,
    imports: VecDeque<Import>,
    unwritten: Vec<Revocation>,
    renewing: Option<Origin>,
    pub(super) is_commit_due: bool,
    /// The nodes that it was connected with, but for those that have left, and since when.
    pub(super) met: BTreeMap<usize, u64>,
    /// When any node was heard last.
    pub(super) last_message_ms: u64,
    /// What a node that said goodbye had taken, and when that was.
    pub(super) inherited: Vec<(u64, usize, LedgerEntry)>,
    /// Links that are to be closed, however long the writer takes.
    pub(super) closing: Vec<LinkId>,
}

/// What a transaction has done.
#[derive(Default)]
pub(super) struct Committed {
    /// This node's rows and their numbers.
    pub(super) numbered: Vec<(Origin, u64, Revocation)>,
    /// Whether something is left to be written.
    pub(super) is_failing: bool,
}

impl SimulatedProcess {
    pub(super) fn start(
        name: &NodeName,
        disk: &Disk,
        rules: ReadinessPolicy,
        room: usize,
        now: Now,
        now_ms: u64,
    ) -> Self {
        let set = Arc::new(disk.set(wall(now)));
        let replication_log = Arc::new(ReplicationLog::with_room(disk.origin, &disk.vector, room));
        let is_initial = rules.new_cluster;
        let mesh = Mesh::new(
            name.clone(),
            Arc::clone(&set),
            Arc::clone(&replication_log),
            rules,
            disk.is_complete,
            now,
        );
        mesh.remember(&disk.nodes, now);
        let own = vec![certificate_of(name)];
        mesh.show_certificates(own, Box::new(names_of));
        Self {
            mesh,
            set,
            replication_log,
            outboxes: BTreeMap::new(),
            bus: None,
            state: SyncPhase::Syncing,
            serves: false,
            why: String::new(),
            ticked_ms: now_ms,
            is_forced: false,
            is_initial,
            fresh: Vec::new(),
            imports: VecDeque::new(),
            unwritten: Vec::new(),
            renewing: None,
            is_commit_due: false,
            met: BTreeMap::new(),
            last_message_ms: now_ms,
            inherited: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// There is a bus, which was read as far as the disk says.
    pub(super) fn use_bus(&mut self, disk: &Disk, now: Now, now_ms: u64) {
        self.mesh.expect_bus(now);
        let log = &self.replication_log;
        self.bus = Some(SimulatedBusClient::new(disk.stream, log, now_ms));
    }

    /// Something is to be written beside what the mesh orders.
    pub(super) fn note(&mut self, import: Import) {
        self.imports.push_back(import);
    }

    /// A logout, or an order of the operator's.
    pub(super) fn revoke(&mut self, revocation: Revocation) {
        self.fresh.push(revocation);
    }

    pub(super) fn has_to_write(&self) -> bool {
        !self.fresh.is_empty() || !self.imports.is_empty() || !self.unwritten.is_empty()
    }

    /// Does what the mesh says is to be done, as `Shared::carry_out` does.
    pub(super) fn carry_out(&mut self, steps: Steps, chance: &mut Chance) {
        if let Some(client) = &mut self.bus
            && let Some((link, opening)) = steps.opens
        {
            client.open_link(link, opening);
        }
        self.imports.extend(steps.imports);
        if let Some((link, _, after)) = steps.joined {
            let (origin, _) = self.replication_log.own();
            self.order(link, SimulatedCommand::Push { origin, after });
        }
        for (link, frame) in steps.frames {
            self.order(link, SimulatedCommand::Send(frame));
        }
        for (link, why) in steps.closes {
            self.order(link, SimulatedCommand::Close(why));
        }
        if steps.must_renew {
            self.renew(chance);
        }
    }

    pub(super) fn order(&mut self, link: LinkId, order: SimulatedCommand) {
        if let Some(outbox) = self.outboxes.get_mut(&link) {
            if matches!(order, SimulatedCommand::Close(_)) {
                self.closing.push(link);
            }
            outbox.orders.push_back(order);
        } else if let Some(client) = &mut self.bus {
            client.order(link, order, &self.mesh);
        }
    }

    fn renew(&mut self, chance: &mut Chance) {
        let (origin, _) = self.replication_log.own();
        if self.renewing == Some(origin) {
            return;
        }
        self.renewing = Some(origin);
        self.imports.push_back(Import {
            revocations: Vec::new(),
            progress: Progress {
                origin: Some(origin_of(&self.mesh.name, chance)),
                ..Progress::default()
            },
        });
        let mut links: Vec<_> = self.outboxes.keys().copied().collect();
        links.extend(self.bus.iter().flat_map(|client| client.links.keys()));
        for link in links {
            self.order(
                link,
                SimulatedCommand::Close("it is another origin now".to_owned()),
            );
        }
    }

    /// One transaction, as `Writer::commit` makes it.
    pub(super) fn commit(&mut self, disk: &mut Disk, is_failing: bool, now: Now) -> Committed {
        let fresh = std::mem::take(&mut self.fresh);
        for revocation in &fresh {
            self.set.insert(revocation, wall(now));
        }
        if is_failing {
            if !fresh.is_empty() {
                self.replication_log
                    .announce(fresh.iter().map(Row::encode).collect());
            }
            self.unwritten.extend(fresh);
            return Committed {
                numbered: Vec::new(),
                is_failing: self.has_to_write(),
            };
        }
        let imports = std::mem::take(&mut self.imports);
        let own: Vec<_> = self.unwritten.drain(..).chain(fresh).collect();
        let (origin, reached) = self.replication_log.own();
        let numbered: Vec<_> = (reached + 1..)
            .zip(&own)
            .map(|(number, revocation)| (origin, number, *revocation))
            .collect();
        disk.rows.extend(&own);
        if let Some((origin, number, _)) = numbered.last() {
            disk.vector.insert(*origin, *number);
        }
        let mut renewed = None;
        for import in imports {
            disk.rows.extend(import.revocations);
            disk.vector.extend(import.progress.reached);
            disk.nodes.extend(import.progress.introduced);
            for origin in import.progress.forgotten {
                disk.vector.remove(&origin);
                disk.nodes.remove(&origin);
            }
            disk.is_complete |= import.progress.is_complete;
            disk.stream = import.progress.stream.or(disk.stream);
            renewed = import.progress.origin.or(renewed);
        }
        disk.origin = renewed.unwrap_or(disk.origin);
        if !own.is_empty() {
            let rows = own.iter().map(Row::encode);
            self.replication_log.append_own(rows, now.uptime_ms);
        }
        if let Some(origin) = renewed {
            self.replication_log.renew(origin);
        }
        Committed {
            numbered,
            is_failing: false,
        }
    }
}

/// An origin that a node of that name has not been.
pub(super) fn origin_of(name: &NodeName, chance: &mut Chance) -> Origin {
    Origin::bound(chance.number().to_le_bytes(), name.as_str())
}

/// What stands for a node's certificate here.
fn certificate_of(name: &NodeName) -> Bytes {
    Bytes::copy_from_slice(name.as_str().as_bytes())
}

/// The names of a chain: those of the machines are certified, and no others.
fn names_of(chain: &Chain) -> Vec<NodeName> {
    let text = chain.first().and_then(|der| std::str::from_utf8(der).ok());
    let certified = text.filter(|text| text.starts_with('n'));
    let name = certified.and_then(|text| NodeName::parse(text).ok());
    name.into_iter().collect()
}

/// What is to be sent to one peer, and its writer: as `outbox`, with the wire's room as an argument.
pub(super) struct SimulatedOutbox {
    orders: VecDeque<SimulatedCommand>,
    own_number: watch::Receiver<u64>,
    unnumbered: broadcast::Receiver<Vec<Row>>,
    pushing: Option<(Origin, u64)>,
}

impl SimulatedOutbox {
    pub(super) fn new(replication_log: &ReplicationLog) -> Self {
        Self {
            orders: VecDeque::new(),
            own_number: replication_log.follow(),
            unnumbered: replication_log.listen(),
            pushing: None,
        }
    }

    /// Sends what is left, and hangs up.
    pub(super) fn leave(&mut self) {
        self.orders.push_back(SimulatedCommand::Leave);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.orders.is_empty()
    }

    /// What the writer does next: what it sends, and why it hangs up if it does. `None`: it has nothing to do.
    pub(super) fn write(
        &mut self,
        mesh: &Mesh,
        chance: &mut Chance,
    ) -> Option<(Vec<Sent>, Option<String>)> {
        let is_pushing = self.pushing.is_some();
        let is_ready = [
            !self.orders.is_empty(),
            is_pushing && self.own_number.has_changed().unwrap(),
            is_pushing && !self.unnumbered.is_empty(),
        ];
        let ready: Vec<_> = (0..3).filter(|branch| is_ready[*branch]).collect();
        let mut frames = Vec::new();
        match chance.one_of(&ready)? {
            0 => match self.orders.pop_front()? {
                SimulatedCommand::Send(frame) => frames.push(frame),
                SimulatedCommand::Push { origin, after } => self.pushing = Some((origin, after)),
                SimulatedCommand::Leave => {
                    self.push(mesh, &mut frames, usize::MAX);
                    if self.pushing.is_some() {
                        frames.push(Frame::Goodbye(Goodbye::Leaving));
                    }
                    return Some((encoded(&frames), Some("it stops".to_owned())));
                }
                SimulatedCommand::Close(why) => return Some((Vec::new(), Some(why))),
            },
            1 => drop(self.own_number.borrow_and_update()),
            _ => frames.push(match self.unnumbered.try_recv() {
                Ok(rows) => Frame::Unnumbered(rows),
                Err(TryRecvError::Lagged(_)) => Frame::CompareSets,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }),
        }
        self.push(mesh, &mut frames, 1);
        Some((encoded(&frames), None))
    }

    fn push(&mut self, mesh: &Mesh, frames: &mut Vec<Frame>, most: usize) {
        let Some((pushed, after)) = &mut self.pushing else {
            return;
        };
        let mut sent = 0;
        loop {
            let (origin, number) = mesh.replication_log.own();
            if origin != *pushed {
                (*pushed, *after) = (origin, 0);
            }
            if number <= *after || (sent >= most && number - *after < ROWS_MAX as u64) {
                return;
            }
            let frame = mesh.delta_after(origin, *after);
            *after = if let Frame::Delta { rows, .. } = &frame {
                *after + rows.len() as u64
            } else {
                number
            };
            frames.push(frame);
            sent += 1;
        }
    }
}

fn encoded(frames: &[Frame]) -> Vec<Sent> {
    let encoded = frames.iter().map(|frame| Sent::Frame(frame.encode()));
    encoded.collect()
}

pub(super) fn wall(now: Now) -> UnixTime {
    UnixTime::from_seconds(now.wall_ms / 1_000)
}
