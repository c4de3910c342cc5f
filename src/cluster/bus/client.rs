//! The state that all tasks of this node at the bus share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::connector::BusConnector;
use super::entry::{BusEntry, BusSender, DirectMessage, SessionId};
use super::position::EntryId;
use super::server::BusError;
use super::settings::{Bus, UnfitBus};
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::peer_clock::PeerClock;
use crate::cluster::settings::{ClusterSettings, Security};
use crate::cluster::shared::Shared;
use crate::revocation::{Import, NodeName, Progress};

/// How many of this node's pings are remembered until they are read again.
const PINGS_KEPT: usize = 16;

/// How many session numbers of this node are remembered: their entries may still be on the bus.
const SESSION_IDS_KEPT: usize = 16;

/// What all that is done at the bus shares.
pub(crate) struct BusClient {
    pub(super) door: BusConnector,
    pub(super) bus: Bus,
    pub(super) node: NodeName,
    /// The nodes that may be peers; empty: all.
    allow: Mutex<Vec<NodeName>>,
    messages: mpsc::Sender<DirectMessage>,
    /// The session numbers of this node, the current one last.
    session_ids: Mutex<VecDeque<SessionId>>,
    /// This node's pings: the time that they state, and the uptime then.
    pings: Mutex<VecDeque<(u64, u64)>>,
    /// The clock of the server, by which stamps on the bus go.
    clock: Mutex<PeerClock>,
    /// Up to which number this node's own rows were read again from the bus.
    pub(super) echoed: AtomicU64,
    /// The newest entry that this node wrote.
    pub(super) written: Mutex<EntryId>,
    /// The last entry of which everything was taken in.
    pub(super) read: Mutex<EntryId>,
    /// Everything was read that was there when the connection was made.
    pub(super) caught_up: watch::Sender<bool>,
    /// Whether this node stops.
    pub(super) leaving: watch::Sender<bool>,
    pub(super) has_left: AtomicBool,
    pub(super) is_connected: AtomicBool,
    pub(super) resets: AtomicU64,
    skipped: AtomicU64,
}

/// How the bus fares, for machines.
#[derive(Clone, Copy, Debug)]
pub struct BusCounts {
    /// Whether there is a connection to it.
    pub is_connected: bool,
    /// How often something was lost on it.
    pub resets: u64,
    /// How many entries made no sense.
    pub skipped: u64,
}

impl BusClient {
    /// # Errors
    ///
    /// The bus's address or authorities can't be used.
    pub(super) fn new(
        bus: &Bus,
        settings: &ClusterSettings,
        messages: mpsc::Sender<DirectMessage>,
        own_number: u64,
    ) -> Result<Self, UnfitBus> {
        Ok(Self {
            door: BusConnector::to(bus)?,
            bus: bus.clone(),
            node: settings.node.clone(),
            allow: Mutex::new(allowed(settings)),
            messages,
            echoed: AtomicU64::new(own_number),
            session_ids: Mutex::default(),
            pings: Mutex::default(),
            clock: Mutex::default(),
            written: Mutex::default(),
            read: Mutex::default(),
            caught_up: watch::Sender::new(false),
            leaving: watch::Sender::new(false),
            has_left: AtomicBool::new(false),
            is_connected: AtomicBool::new(false),
            resets: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        })
    }

    /// Obeys other settings, as far as a running node can.
    pub(crate) fn reconfigure(&self, settings: &ClusterSettings) {
        *self.allow.lock() = allowed(settings);
    }

    /// How it fares.
    pub(crate) fn counts(&self) -> BusCounts {
        BusCounts {
            is_connected: self.is_connected.load(Ordering::Relaxed),
            resets: self.resets.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }

    /// Says goodbye, once what was revoked here has been written; `has_sent_goodbye` tells when.
    pub(crate) fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Whether there is nothing left to say.
    pub(crate) fn has_sent_goodbye(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// How far the bus was read, to be noted in the journal.
    pub(crate) fn progress(&self) -> Option<Import> {
        let read = *self.read.lock();
        (read > EntryId::ZERO).then(|| Import {
            revocations: Vec::new(),
            progress: Progress {
                stream: Some((read.time_ms, read.serial)),
                ..Progress::default()
            },
        })
    }

    /// Whether this node may be a peer.
    pub(super) fn allows(&self, node: &NodeName) -> bool {
        let allow = self.allow.lock();
        allow.is_empty() || allow.contains(node)
    }

    /// Queues a message to one node, as soon as there is room for it.
    pub(super) async fn send(&self, message: DirectMessage) {
        let _ = self.messages.send(message).await; // the writer has ended with the process
    }

    /// What this node writes.
    pub(super) fn entry(&self, shared: &Shared) -> BusEntry {
        BusEntry {
            from: self.node.clone(),
            sender: BusSender {
                origin: shared.mesh.replication_log.own().0,
                session_id: self.session_id(),
            },
            to: None,
            frame: None,
        }
    }

    /// This node's current session.
    pub(super) fn session_id(&self) -> SessionId {
        self.session_ids.lock().back().copied().unwrap_or_default()
    }

    /// Whether this is, or was, a session of this node.
    pub(super) fn is_own(&self, session_id: SessionId) -> bool {
        self.session_ids.lock().contains(&session_id)
    }

    pub(super) fn draw_session_id(&self) -> Result<(), BusError> {
        let mut bytes = [0; 8];
        let drawn = aws_lc_rs::rand::fill(&mut bytes);
        drawn.map_err(|_| BusError::Failed("no random numbers can be had".to_owned()))?;
        let mut session_ids = self.session_ids.lock();
        session_ids.push_back(SessionId::from_le_bytes(bytes));
        if session_ids.len() > SESSION_IDS_KEPT {
            session_ids.pop_front();
        }
        Ok(())
    }

    /// A ping is written that says this of the time.
    pub(super) fn note_ping(&self, wall_ms: u64, uptime_ms: u64) {
        let mut pings = self.pings.lock();
        pings.push_back((wall_ms, uptime_ms));
        if pings.len() > PINGS_KEPT {
            pings.pop_front();
        }
    }

    /// When a ping was written that says this of the time.
    pub(super) fn pinged_ms(&self, wall_ms: u64) -> Option<u64> {
        let pings = self.pings.lock();
        let mut of_then = pings.iter().filter(|(said, _)| *said == wall_ms);
        of_then.next().map(|(_, uptime_ms)| *uptime_ms)
    }

    /// Entries were added, the newest of which has this number. They were ordered `asked_ms`, and that is known `now_ms`.
    pub(super) fn note_added(&self, newest: EntryId, asked_ms: u64, now_ms: u64) {
        let mut clock = self.clock.lock();
        clock.answered(asked_ms, newest.time_ms, now_ms);
    }

    /// A frame as it is written: its stamps go by the clock of the server.
    pub(super) fn stamped(&self, mut frame: Frame, now_ms: u64) -> Frame {
        let clock = self.clock.lock();
        if let Frame::Ping(ping) = &mut frame {
            ping.stamp_ms = clock.showed_at_least(ping.stamp_ms, now_ms);
        } else if let Frame::Delta { at_ms, .. } = &mut frame
            && *at_ms > 0
        {
            *at_ms = clock.showed_about(*at_ms, now_ms);
        }
        frame
    }

    /// A frame as it is read: its stamps go by our uptime.
    pub(super) fn unstamped(&self, mut frame: Frame, now_ms: u64) -> Frame {
        let clock = self.clock.lock();
        if let Frame::Ping(ping) = &mut frame {
            ping.stamp_ms = clock
                .no_later_than(ping.stamp_ms, now_ms)
                .unwrap_or_default();
        } else if let Frame::Delta { at_ms, .. } = &mut frame {
            let known = clock.about(*at_ms, now_ms).filter(|_| *at_ms > 0);
            *at_ms = known.unwrap_or_default();
        }
        frame
    }

    /// An entry made no sense.
    pub(super) fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }
}

fn allowed(settings: &ClusterSettings) -> Vec<NodeName> {
    match &settings.security {
        Security::Loopback => Vec::new(),
        Security::Certificates(certificates) => certificates.allow.clone(),
    }
}
