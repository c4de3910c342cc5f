//! What a node knows of its own session at the bus, and of the other nodes there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::health::BusHealth;
use super::message::{BusEnvelope, BusSender, SessionId};
use crate::cluster::protocol::frame::{Frame, Ping};
use crate::cluster::protocol::mesh::{LinkId, Now};
use crate::cluster::protocol::peer_clock::{PeerClock, difference};
use crate::cluster::protocol::peer_session::RowBudget;
use crate::log_limit::LogLimit;
use crate::revocation::{NodeName, Origin};

/// How many other nodes are known on the bus at most.
const PEERS_MAX: usize = 1024;

/// How many of this node's pings are remembered until they are read again.
const PINGS_KEPT: usize = 16;

/// How many sessions of this node are remembered: their messages may still be on the bus.
const SESSIONS_KEPT: usize = 16;

/// The links by the bus have numbers beyond those of connections.
const FIRST_LINK: LinkId = 1 << 62;

/// At most one warning a minute about another node of this name.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The bus as one node knows it.
pub(crate) struct BusState {
    pub(crate) health: BusHealth,
    /// The sessions of this node, the current one last.
    sessions: VecDeque<SessionId>,
    /// This node's last pings: the time of day that they state, and the uptime then.
    pings: VecDeque<(u64, u64)>,
    /// The clock of the server, by which stamps on the bus go.
    clock: PeerClock,
    /// How far our time of day is ahead of the server's, in milliseconds, as this node's own pings tell.
    ahead_ms: Option<i64>,
    /// Up to which number this node's own rows were read again from the bus.
    echoed: u64,
    peers: BTreeMap<NodeName, BusPeer>,
    next_link: LinkId,
    namesake_warnings: LogLimit,
}

/// Another node on the bus.
pub(crate) struct BusPeer {
    sender: BusSender,
    /// The link to it by the bus, if one was opened.
    link: Option<LinkId>,
    pub(crate) budget: RowBudget,
    /// The number of the last of its own revocations, as its last ping says.
    pub(crate) advertised: Option<u64>,
    /// Until when its rows are ignored, because it sent too many.
    muted_until_ms: u64,
}

impl BusState {
    /// Nothing was read yet; this node has revoked as much as the number says.
    pub(crate) fn new(own_number: u64, now_ms: u64) -> Self {
        Self {
            health: BusHealth::since(now_ms),
            sessions: VecDeque::new(),
            pings: VecDeque::new(),
            clock: PeerClock::default(),
            ahead_ms: None,
            echoed: own_number,
            peers: BTreeMap::new(),
            next_link: FIRST_LINK,
            namesake_warnings: LogLimit::new(WARN_EVERY, 1),
        }
    }

    /// A new session of this node begins. The links of the former one, which are over.
    pub(crate) fn start_session(&mut self, session_id: SessionId) -> Vec<LinkId> {
        self.sessions.push_back(session_id);
        if self.sessions.len() > SESSIONS_KEPT {
            self.sessions.pop_front();
        }
        let links = self.peers.values_mut();
        links.filter_map(|peer| peer.link.take()).collect()
    }

    /// This node's current session.
    pub(crate) fn session_id(&self) -> SessionId {
        self.sessions.back().copied().unwrap_or_default()
    }

    /// Whether this is, or was, a session of this process.
    pub(crate) fn is_own_session(&self, session_id: SessionId) -> bool {
        self.sessions.contains(&session_id)
    }

    /// Whether a message is a broadcast, or is for the current session.
    pub(crate) fn is_addressed_by(&self, envelope: &BusEnvelope) -> bool {
        envelope.to.is_none_or(|to| to == self.session_id())
    }

    /// Whether it is time to warn of another node with this node's name.
    pub(crate) fn is_namesake_warning_due(&mut self, now_ms: u64) -> bool {
        self.namesake_warnings.is_due((), now_ms)
    }

    /// This node's ping is written, which says this of the time.
    pub(crate) fn note_ping(&mut self, now: Now) {
        self.pings.push_back((now.wall_ms, now.uptime_ms));
        if self.pings.len() > PINGS_KEPT {
            self.pings.pop_front();
        }
    }

    /// This node's own ping was read: everything was read that was written before it. What was read before `since_ms`
    /// counts no more.
    pub(crate) fn on_own_ping(&mut self, ping: &Ping, server_ms: u64, since_ms: u64, now_ms: u64) {
        self.ahead_ms = Some(difference(ping.now_ms, server_ms));
        let written = self
            .pings
            .iter()
            .find(|(wall_ms, _)| *wall_ms == ping.now_ms);
        if let Some((_, written_ms)) = written {
            self.health.on_own_ping(*written_ms, now_ms);
            self.health.read(*written_ms, since_ms, now_ms);
        }
    }

    /// This node's own rows were read up to that number.
    pub(crate) fn on_echo(&mut self, number: u64) {
        self.echoed = self.echoed.max(number);
    }

    /// Up to which number this node's own rows are surely on the bus.
    pub(crate) fn echoed(&self) -> u64 {
        self.echoed
    }

    /// Entries were ordered at `asked_ms`, and the server numbered the newest of them at `server_ms`.
    pub(crate) fn on_written(&mut self, asked_ms: u64, server_ms: u64, now_ms: u64) {
        self.clock.answered(asked_ms, server_ms, now_ms);
    }

    /// The time at which a message was written, by our clock: clocks are compared by pings, and reading may be late.
    pub(crate) fn when_written(&self, server_ms: u64, now: Now) -> Now {
        let by_ours = |ahead_ms| server_ms.saturating_add_signed(ahead_ms);
        Now {
            wall_ms: self.ahead_ms.map_or(now.wall_ms, by_ours),
            ..now
        }
    }

    /// A frame as it is written: its stamps go by the clock of the server.
    pub(crate) fn stamped(&self, mut frame: Frame, now_ms: u64) -> Frame {
        if let Frame::Ping(ping) = &mut frame {
            ping.stamp_ms = self.clock.showed_at_least(ping.stamp_ms, now_ms);
        } else if let Frame::Delta { at_ms, .. } = &mut frame
            && *at_ms > 0
        {
            *at_ms = self.clock.showed_about(*at_ms, now_ms);
        }
        frame
    }

    /// A frame as it is read: its stamps go by our uptime.
    pub(crate) fn unstamped(&self, mut frame: Frame, now_ms: u64) -> Frame {
        if let Frame::Ping(ping) = &mut frame {
            let moment_ms = self.clock.no_later_than(ping.stamp_ms, now_ms);
            ping.stamp_ms = moment_ms.unwrap_or_default();
        } else if let Frame::Delta { at_ms, .. } = &mut frame {
            let known = self.clock.about(*at_ms, now_ms).filter(|_| *at_ms > 0);
            *at_ms = known.unwrap_or_default();
        }
        frame
    }

    /// What is kept of a sender; `None`: there are too many of them.
    pub(crate) fn peer(&mut self, envelope: &BusEnvelope, now_ms: u64) -> Option<&mut BusPeer> {
        if !self.peers.contains_key(&envelope.from) {
            if self.peers.len() >= PEERS_MAX {
                return None;
            }
            let peer = BusPeer {
                sender: envelope.sender,
                link: None,
                budget: RowBudget::full(now_ms),
                advertised: None,
                muted_until_ms: 0,
            };
            self.peers.insert(envelope.from.clone(), peer);
        }
        let peer = self.peers.get_mut(&envelope.from)?;
        if peer.sender != envelope.sender {
            peer.sender = envelope.sender;
            peer.advertised = None;
            peer.link = None; // it led to the former session, which reads no more
        }
        Some(peer)
    }

    /// The link by the bus to the very session that sent a message, if one was opened.
    pub(crate) fn link_to(&self, envelope: &BusEnvelope) -> Option<LinkId> {
        let peer = self.peers.get(&envelope.from);
        peer.filter(|peer| peer.sender == envelope.sender)?.link
    }

    /// The number of a new link to the sender; `None`: there are too many nodes.
    pub(crate) fn open_link(&mut self, envelope: &BusEnvelope, now_ms: u64) -> Option<LinkId> {
        let link = self.next_link;
        self.peer(envelope, now_ms)?.link = Some(link);
        self.next_link += 1;
        Some(link)
    }

    /// A sender can't be read more slowly on a bus; one that sends too much is ignored for a while, and what is missed of
    /// it is fetched later.
    pub(crate) fn mute(&mut self, node: &NodeName, until_ms: u64) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.muted_until_ms = until_ms;
        }
    }

    /// Whether the rows of a sender are ignored now.
    pub(crate) fn is_muted(&self, node: &NodeName, now_ms: u64) -> bool {
        let peer = self.peers.get(node);
        peer.is_some_and(|peer| now_ms < peer.muted_until_ms)
    }
}

/// Whether a frame may be broadcast: the sender's own revocations, and little else.
pub(crate) fn is_for_all(frame: &Frame, sender: Origin) -> bool {
    match frame {
        Frame::Delta { origin, .. } => *origin == sender,
        Frame::Ping(_) | Frame::Unnumbered(_) | Frame::CompareSets | Frame::Goodbye(_) => true,
        Frame::Hello(_)
        | Frame::Pong { .. }
        | Frame::Ack { .. }
        | Frame::RequestRows { .. }
        | Frame::Reconcile { .. }
        | Frame::Certificates(_) => false,
    }
}
