//! The state that all tasks of this node at the bus share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::connector::BusConnector;
use super::entry::{BusEntry, DirectMessage};
use super::settings::{Bus, UnfitBus};
use crate::cluster::protocol::bus::EntryId;
use crate::cluster::settings::{ClusterSettings, Security};
use crate::cluster::shared::Shared;
use crate::revocation::{Import, NodeName, Progress};

/// What all that is done at the bus shares.
pub(crate) struct BusClient {
    pub(super) connector: BusConnector,
    pub(super) bus: Bus,
    pub(super) node: NodeName,
    /// The nodes that may be peers; empty: all.
    allow: Mutex<Vec<NodeName>>,
    messages: mpsc::Sender<DirectMessage>,
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
    ) -> Result<Self, UnfitBus> {
        Ok(Self {
            connector: BusConnector::new(bus)?,
            bus: bus.clone(),
            node: settings.node.clone(),
            allow: Mutex::new(allowed(settings)),
            messages,
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
            sender: shared.mesh.bus_sender(),
            to: None,
            frame: None,
        }
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
