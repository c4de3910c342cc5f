//! A node's side of a simulated bus, as `session`, `reader`, `writer` and `direct` of `bus` are, without sockets.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::network::SimulatedCommand;
use crate::cluster::protocol::bus::{BusAddress, BusLink, EntryId, SessionId, StreamPosition};
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::mesh::{LinkId, Mesh, Now};
use crate::cluster::protocol::peer_session::PING_EVERY_MS;
use crate::revocation::{Import, NodeName, Origin, Progress, ReplicationLog, Row};

/// How often the place in the stream is noted where nothing else is, as in `reader`.
const NOTE_EVERY_MS: u64 = 10_000;

/// Frames that are written together; without an address to all nodes.
type AddressedFrames = Vec<(Option<BusAddress>, Frame)>;

/// A node at the bus.
pub(super) struct SimulatedBusClient {
    pub(super) position: StreamPosition,
    noted: EntryId,
    noted_ms: u64,
    pub(super) session: Option<SimulatedSession>,
    /// The number of the last of this node's own rows that was written.
    published: (Origin, u64),
    unnumbered: broadcast::Receiver<Vec<Row>>,
    messages: VecDeque<(BusAddress, Frame)>,
    pub(super) links: BTreeMap<LinkId, BusAddress>,
}

/// One connection to the server.
pub(super) struct SimulatedSession {
    pub(super) id: SessionId,
    /// The server process that it is a connection to.
    pub(super) run: u64,
    /// What comes before this entry was on the bus before this session; `None`: it is not written yet.
    pub(super) mark: Option<EntryId>,
    pub(super) marked_ms: u64,
    pub(super) in_mailbox: EntryId,
    pub(super) is_caught_up: bool,
    /// A batch is on its way.
    pub(super) is_writing: bool,
    pinged_ms: u64,
    /// When it is read again, by the time of the world.
    pub(super) read_at_ms: u64,
    /// When the server answered last.
    pub(super) answered_ms: u64,
    /// When it is asked again what the stream is.
    pub(super) look_ms: u64,
}

impl SimulatedSession {
    pub(super) fn new(id: SessionId, run: u64, marked_ms: u64, now_ms: u64) -> Self {
        Self {
            id,
            run,
            mark: None,
            marked_ms,
            in_mailbox: EntryId::ZERO,
            is_caught_up: false,
            is_writing: true,
            pinged_ms: 0,
            read_at_ms: u64::MAX,
            answered_ms: now_ms,
            look_ms: now_ms,
        }
    }

    /// How long ago an entry was written, if that was before this session.
    pub(super) fn age_ms(&self, id: EntryId, uptime_ms: u64) -> Option<u64> {
        let mark = self.mark.filter(|mark| id < *mark)?;
        let before_mark_ms = mark.time_ms.saturating_sub(id.time_ms);
        Some(before_mark_ms + uptime_ms.saturating_sub(self.marked_ms))
    }
}

impl SimulatedBusClient {
    pub(super) fn new(
        read: Option<(u64, u64)>,
        replication_log: &ReplicationLog,
        now_ms: u64,
    ) -> Self {
        let position = StreamPosition::after(read);
        Self {
            noted: position.read,
            position,
            noted_ms: now_ms,
            session: None,
            published: replication_log.own(),
            unnumbered: replication_log.listen(),
            messages: VecDeque::new(),
            links: BTreeMap::new(),
        }
    }

    pub(super) fn open_link(&mut self, link: LinkId, opening: BusLink) {
        self.links.insert(link, opening.to.clone());
        self.send(opening.to, opening.greeting);
    }

    /// Carries out a command for a link, if it is by the bus.
    pub(super) fn order(&mut self, link: LinkId, command: SimulatedCommand, mesh: &Mesh) {
        let Some(to) = self.links.get(&link).cloned() else {
            return;
        };
        match command {
            SimulatedCommand::Send(Frame::Goodbye(_)) => {}
            SimulatedCommand::Send(frame) => self.send(to, frame),
            SimulatedCommand::Push { origin, mut after } => {
                let (own, number) = mesh.replication_log.own();
                while own == origin && after < number {
                    let frame = mesh.delta_after(origin, after);
                    after = frame.last_number().unwrap_or(number);
                    self.send(to.clone(), frame);
                }
            }
            SimulatedCommand::Leave | SimulatedCommand::Close(_) => {
                self.links.remove(&link);
                mesh.disconnect(link);
            }
        }
    }

    fn send(&mut self, to: BusAddress, frame: Frame) {
        if self.session.is_some() {
            self.messages.push_back((to, frame));
        }
    }

    /// The session is over.
    pub(super) fn close(&mut self) {
        self.session = None;
        self.messages.clear();
    }

    /// What was written after this number may be lost.
    pub(super) fn publish_again_after(&mut self, number: u64) {
        self.published.1 = self.published.1.min(number);
    }

    /// A batch was written that reaches so far.
    pub(super) fn on_published(&mut self, published: (Origin, u64)) {
        self.published = published;
    }

    /// What the writer writes next, and how far this node's own rows go in it. Nothing while a batch is on its way.
    pub(super) fn next_batch(
        &mut self,
        mesh: &Mesh,
        is_last: bool,
        now: Now,
    ) -> (AddressedFrames, (Origin, u64)) {
        let (origin, number) = mesh.replication_log.own();
        let mut published = if self.published.0 == origin {
            self.published.1
        } else {
            0
        };
        let mut frames = Vec::new();
        let Some(session) = self.session.as_mut().filter(|session| !session.is_writing) else {
            return (frames, self.published);
        };
        let messages = self.messages.drain(..);
        frames.extend(messages.map(|(to, frame)| (Some(to), frame)));
        loop {
            let frame = match self.unnumbered.try_recv() {
                Ok(rows) => Frame::Unnumbered(rows),
                Err(TryRecvError::Lagged(_)) => Frame::CompareSets,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            frames.push((None, frame));
        }
        while published < number {
            let frame = mesh.delta_after(origin, published);
            published = frame.last_number().unwrap_or(number);
            frames.push((None, frame));
        }
        let since_ms = now.uptime_ms.saturating_sub(session.pinged_ms);
        let is_ping_due = session.is_caught_up && since_ms >= PING_EVERY_MS;
        if is_ping_due || is_last {
            session.pinged_ms = now.uptime_ms;
            frames.push((None, mesh.ping_by_bus(now)));
        }
        if is_last {
            frames.push((None, Frame::Goodbye(Goodbye::Leaving)));
        }
        session.is_writing = !frames.is_empty();
        let stamped = |(to, frame)| (to, mesh.stamped_for_bus(frame, now));
        (
            frames.into_iter().map(stamped).collect(),
            (origin, published),
        )
    }

    /// The place in the stream, if it is to be written to the disk now.
    pub(super) fn place_to_note(&mut self, has_news: bool, now_ms: u64) -> Option<Import> {
        let read = self.position.read;
        let is_due = has_news || now_ms.saturating_sub(self.noted_ms) >= NOTE_EVERY_MS;
        if !is_due || read == self.noted {
            return None;
        }
        self.noted = read;
        self.noted_ms = now_ms;
        Some(Import::noting(Progress {
            stream: Some((read.time_ms, read.serial)),
            ..Progress::default()
        }))
    }

    /// The node and the session that a link leads to.
    pub(super) fn peer_on(&self, link: LinkId) -> Option<(&NodeName, SessionId)> {
        let to = self.links.get(&link)?;
        Some((&to.node, to.session_id))
    }
}
