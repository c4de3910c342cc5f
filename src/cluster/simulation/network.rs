//! Connections that fail in every way that TCP can: what one of them carries comes in order or is lost from some frame
//! on, and whether the two ends hear of its end is a matter of luck.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use super::chance::Chance;
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::mesh::LinkId;
use crate::revocation::Origin;

/// Beyond this delay a path is slow, and nothing is promised about when something arrives.
const SLOW_MS: u64 = 50;

/// The way from one machine to another one; the way back is another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedPath {
    pub(super) is_blocked: bool,
    pub(super) delay_ms: u64,
    /// How many bytes a second it carries, where that is little: what waits for it arrives later and later.
    pub(super) bytes_per_second: Option<u64>,
}

impl SimulatedPath {
    pub(super) fn is_good(self) -> bool {
        !self.is_blocked && self.delay_ms <= SLOW_MS && self.bytes_per_second.is_none()
    }
}

/// One of the two machines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) machine: usize,
    pub(super) life: u64,
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Frame(Bytes),
    /// The other end has hung up.
    End,
}

/// An order to a link's writer.
pub(super) enum SimulatedCommand {
    Send(Frame),
    Push { origin: Origin, after: u64 },
    Leave,
    Close(String),
}

/// A TCP connection. The first end has dialed.
pub(super) struct SimulatedConnection {
    pub(super) ends: [End; 2],
    /// The address that was dialed.
    pub(super) target: SocketAddr,
    pub(super) is_open: [bool; 2],
    /// What is on its way from each end, and when it arrives.
    pub(super) flows: [VecDeque<(u64, Sent)>; 2],
    /// Nothing of what an end sends arrives any more, without notice.
    pub(super) is_cut: [bool; 2],
    /// Whether the next arrival from an end is scheduled.
    pub(super) is_awaited: [bool; 2],
}

/// All of them.
pub(super) struct Network {
    pub(super) connections: BTreeMap<u64, SimulatedConnection>,
    pub(super) paths: Vec<Vec<SimulatedPath>>,
    /// How many frames fit into one direction of a connection; a node that sends more waits.
    pub(super) capacity: usize,
    made: u64,
}

/// The number that an end of a connection has for its node.
pub(super) fn link_of(connection: u64, end: usize) -> LinkId {
    connection * 2 + end as u64
}

/// The connection and the end that a node has given this number.
pub(super) fn place_of(link: LinkId) -> (u64, usize) {
    (link / 2, usize::from(link % 2 == 1))
}

impl Network {
    pub(super) fn new(machines: usize, delay_ms: u64, capacity: usize) -> Self {
        let path = SimulatedPath {
            is_blocked: false,
            delay_ms,
            bytes_per_second: None,
        };
        Self {
            connections: BTreeMap::new(),
            paths: vec![vec![path; machines]; machines],
            capacity,
            made: 0,
        }
    }

    pub(super) fn connect(&mut self, ends: [End; 2], target: SocketAddr) -> u64 {
        self.made += 1;
        let connection = SimulatedConnection {
            ends,
            target,
            is_open: [true; 2],
            flows: Default::default(),
            is_cut: [false; 2],
            is_awaited: [false; 2],
        };
        self.connections.insert(self.made, connection);
        self.made
    }

    /// The path that what this end sends takes.
    pub(super) fn path(&self, connection: u64, end: usize) -> SimulatedPath {
        let ends = self.connections[&connection].ends;
        self.paths[ends[end].machine][ends[1 - end].machine]
    }

    /// Puts something on its way.
    pub(super) fn send(
        &mut self,
        connection: u64,
        end: usize,
        sent: Sent,
        now_ms: u64,
        chance: &mut Chance,
    ) {
        let path = self.path(connection, end);
        let delay_ms = path.delay_ms;
        let bytes = match &sent {
            Sent::Frame(bytes) => bytes.len() as u64,
            Sent::End => 0,
        };
        let takes_ms = path
            .bytes_per_second
            .map_or(0, |rate| (bytes * 1_000).div_ceil(rate));
        let flow = &mut self.connections.get_mut(&connection).unwrap().flows[end];
        let before_ms = flow.back().map_or(0, |(at_ms, _)| *at_ms);
        let at_ms = now_ms + delay_ms + chance.between(0, delay_ms / 2);
        flow.push_back((at_ms.max(before_ms) + takes_ms, sent));
    }

    /// What is on its way arrives by then.
    pub(super) fn hasten(&mut self, latest_ms: u64) {
        for connection in self.connections.values_mut() {
            for (at_ms, _) in connection.flows.iter_mut().flatten() {
                *at_ms = (*at_ms).min(latest_ms);
            }
        }
    }

    /// What an end has sent last is lost, from a random frame on.
    pub(super) fn lose(&mut self, connection: u64, end: usize, chance: &mut Chance) {
        let connection = self.connections.get_mut(&connection).unwrap();
        let kept = chance.below(connection.flows[end].len() + 1);
        connection.flows[end].truncate(kept);
    }

    /// Whether both ends hear each other, and soon.
    pub(super) fn is_good(&self, number: u64, now_ms: u64) -> bool {
        let connection = &self.connections[&number];
        let fits = |end: usize| {
            let last = connection.flows[end].back();
            last.is_none_or(|(at_ms, _)| *at_ms <= now_ms + 2 * SLOW_MS)
                && connection.is_open[end]
                && !connection.is_cut[end]
                && self.path(number, end).is_good()
                && connection.flows[end].len() < self.capacity
        };
        fits(0) && fits(1)
    }
}
