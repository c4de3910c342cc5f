//! The receiver of the bus: the presence of other nodes, broadcasts, and messages to this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::warn;

use super::client::BusClient;
use super::direct::{self, Recipient};
use super::entry::{BusEntry, BusSender, EntryField};
use super::position::EntryId;
use crate::cluster::backoff::warning_limit;
use crate::cluster::outbox::{LinkCommand, Outbox};
use crate::cluster::protocol::frame::{self, Frame, Goodbye, Ping};
use crate::cluster::protocol::mesh::{LinkId, Now, Steps};
use crate::cluster::protocol::peer_session::RowBudget;
use crate::cluster::shared::Shared;
use crate::log_limit::LogLimit;
use crate::revocation::NodeName;

/// How many other nodes are known at most.
const OTHERS_MAX: usize = 1024;

/// The nodes that are present on the bus, and what they send.
pub(super) struct BusReceiver {
    shared: Arc<Shared>,
    client: Arc<BusClient>,
    others: BTreeMap<NodeName, BusPeer>,
    /// How far our time of day is ahead of the server's, in milliseconds, as this node's own pings tell.
    ahead_ms: Option<i64>,
    namesake_warnings: LogLimit,
}

/// Another node on the bus.
struct BusPeer {
    sender: BusSender,
    /// The way to it by the bus, as long as the mesh wants it.
    link: Option<LinkId>,
    bucket: RowBudget,
    /// The number of the last of its own revocations, as it said before this node was there.
    told: u64,
    /// Until when nothing is taken of it: it says too much.
    muted_until_ms: u64,
}

/// Where and when an entry was found.
pub(super) struct EntryContext {
    pub(super) id: EntryId,
    /// It lay in this node's mailbox.
    pub(super) is_ours: bool,
    /// It was on the bus before this node's connection was made: so long ago, in milliseconds.
    pub(super) old_ms: Option<u64>,
    pub(super) now: Now,
}

impl EntryContext {
    fn is_old(&self) -> bool {
        self.old_ms.is_some()
    }
}

/// Everything returns whether something is to be written to the journal.
impl BusReceiver {
    pub(super) fn new(shared: Arc<Shared>, client: Arc<BusClient>) -> Self {
        Self {
            shared,
            client,
            others: BTreeMap::new(),
            ahead_ms: None,
            namesake_warnings: warning_limit(),
        }
    }

    /// This node has a new session: exchanges with the former one are over.
    pub(super) fn close_links(&mut self) {
        for other in self.others.values_mut() {
            if let Some(link) = other.link.take() {
                let why = "the bus is begun anew".to_owned();
                self.shared.order(link, LinkCommand::Close(why));
            }
        }
    }

    /// Handles an entry.
    pub(super) fn on_entry(&mut self, fields: Vec<EntryField>, heard: &EntryContext) -> bool {
        let Some(entry) = BusEntry::parse(fields) else {
            return self.skip();
        };
        let is_for_us = !heard.is_ours || entry.to == Some(self.client.session_id());
        let is_own = entry.from == self.shared.mesh.name;
        let is_let_in = self.client.allows(&entry.from) && self.shared.mesh.listens_to(&entry.from);
        if !is_for_us || !is_own && !is_let_in {
            return false;
        }
        let Some(bytes) = &entry.frame else {
            return false;
        };
        let frame = match Frame::decode(bytes) {
            Ok(Some(frame)) => self.client.unstamped(frame, heard.now.uptime_ms),
            Ok(None) => return false, // a later version's
            Err(_) => return self.skip(),
        };
        if is_own {
            self.on_own_entry(&entry, &frame, heard)
        } else if let Frame::Ping(ping) = frame {
            self.on_ping(&entry, ping, heard)
        } else {
            self.on_frame(&entry, frame, heard)
        }
    }

    fn skip(&self) -> bool {
        self.client.skip();
        false
    }

    /// An entry of this node itself: it shows that the bus delivers.
    fn on_own_entry(&mut self, entry: &BusEntry, frame: &Frame, heard: &EntryContext) -> bool {
        if !self.client.is_own(entry.sender.session_id) {
            if heard.is_old() {
                return self.apply_broadcast(entry, frame, heard); // of an earlier process
            }
            self.warn_of_namesake(heard.now);
            return false;
        }
        if let Frame::Ping(ping) = frame
            && !heard.is_old()
        {
            self.on_own_ping(ping, heard);
        }
        if entry.sender.origin == self.shared.mesh.replication_log.own().0
            && let Some(last) = frame.last_number()
        {
            self.client.echoed.fetch_max(last, Ordering::Relaxed);
        }
        false
    }

    /// Everything was read that was written before this.
    fn on_own_ping(&mut self, ping: &Ping, heard: &EntryContext) {
        let ahead_ms = i128::from(ping.now_ms) - i128::from(heard.id.time_ms);
        self.ahead_ms = i64::try_from(ahead_ms).ok();
        let asked_ms = self.client.pinged_ms(ping.now_ms);
        let now_ms = heard.now.uptime_ms;
        self.shared.mesh.on_bus(|bus, since_ms| {
            if let Some(asked_ms) = asked_ms {
                bus.on_own_ping(asked_ms, now_ms);
                bus.read(asked_ms, since_ms, now_ms);
            }
        });
    }

    fn warn_of_namesake(&mut self, now: Now) {
        if self.namesake_warnings.is_due((), now.uptime_ms) {
            let node = &self.shared.mesh.name;
            warn!(node:%; "another node on the bus has this node's name: give every node its own name");
        }
    }

    /// A node is alive; without a connection to it, the bus is the link.
    fn on_ping(&mut self, entry: &BusEntry, ping: Ping, heard: &EntryContext) -> bool {
        if let Some(old_ms) = heard.old_ms {
            let number = ping.vector.get(&entry.sender.origin);
            let number = number.copied().unwrap_or_default();
            self.note_earlier_presence(entry, old_ms, Some(number), heard.now);
            return false;
        }
        let at = self.when_written(heard);
        if let Some(link) = self.link_to(entry) {
            if heard.is_ours {
                self.shared.mesh.on_greeting_by_bus(link, heard.now);
            }
            return self.tell(entry, link, Frame::Ping(ping), at);
        }
        if self.shared.mesh.is_connected_to(&entry.from) {
            return false;
        }
        self.open_link(entry, ping, at)
    }

    /// A node said at that time that it lives, with the number of its last revocation, or that it stops. A node that was
    /// never heard again may have taken logouts that it could no longer write.
    fn note_earlier_presence(
        &mut self,
        entry: &BusEntry,
        old_ms: u64,
        number: Option<u64>,
        now: Now,
    ) {
        let known = self
            .shared
            .mesh
            .replication_log
            .reached(&entry.sender.origin);
        let Some(other) = self.other(entry, now) else {
            return;
        };
        other.told = number.unwrap_or(other.told);
        let is_known = known >= other.told;
        let told = frame::Heartbeat {
            node: entry.from.clone(),
            ago_ms: u32::try_from(old_ms).unwrap_or(u32::MAX),
            has_left: number.is_none(),
        };
        self.shared.mesh.was_on_bus(&told, is_known, now);
    }

    /// The time at which an entry was written, by our clock: clocks are compared by pings, and reading may be late.
    fn when_written(&self, heard: &EntryContext) -> Now {
        let by_ours = |ahead_ms| heard.id.time_ms.saturating_add_signed(ahead_ms);
        Now {
            wall_ms: self.ahead_ms.map_or(heard.now.wall_ms, by_ours),
            ..heard.now
        }
    }

    /// The link to the sender, if it is by the bus and to this very session.
    fn link_to(&self, entry: &BusEntry) -> Option<LinkId> {
        let other = self.others.get(&entry.from);
        let link = other.filter(|other| other.sender == entry.sender)?.link?;
        let mesh = &self.shared.mesh;
        mesh.is_link_to(link, &entry.from).then_some(link)
    }

    fn open_link(&mut self, entry: &BusEntry, ping: Ping, now: Now) -> bool {
        let link = self.shared.next_link();
        let Some(other) = self.other(entry, now) else {
            return false;
        };
        other.link = Some(link);
        let (outbox, inbox) = Outbox::new();
        let (node, BusSender { origin, session_id }) = (&entry.from, entry.sender);
        let mesh = &self.shared.mesh;
        let (greeting, steps) = mesh.connect_by_bus(link, node, origin, ping, now);
        outbox.order(LinkCommand::Say(greeting));
        let overdue = outbox.overdue();
        self.shared.add_outbox(link, outbox);
        let to = Recipient {
            node: node.clone(),
            session_id,
        };
        let (shared, client) = (Arc::clone(&self.shared), Arc::clone(&self.client));
        tokio::spawn(direct::write(shared, client, link, to, inbox, overdue));
        self.carry_out(entry, steps, now)
    }

    /// A broadcast, or a message to this node.
    fn on_frame(&mut self, entry: &BusEntry, frame: Frame, heard: &EntryContext) -> bool {
        if !heard.is_ours && !is_for_all(&frame, entry.sender) {
            return self.skip();
        }
        if let (Some(old_ms), Frame::Goodbye(Goodbye::Leaving)) = (heard.old_ms, &frame) {
            self.note_earlier_presence(entry, old_ms, None, heard.now);
            return false;
        }
        let other = self.others.get(&entry.from);
        let muted_until_ms = other.map_or(0, |other| other.muted_until_ms);
        if frame.bytes() > 0 && heard.now.uptime_ms < muted_until_ms {
            return false;
        }
        match self.link_to(entry) {
            Some(link) => self.tell(entry, link, frame, heard.now),
            None if heard.is_ours => false,
            None => self.apply_broadcast(entry, &frame, heard),
        }
    }

    fn tell(&mut self, entry: &BusEntry, link: LinkId, frame: Frame, now: Now) -> bool {
        let Ok(steps) = self.shared.mesh.on_message(link, frame, now) else {
            return self.skip();
        };
        self.carry_out(entry, steps, now)
    }

    fn apply_broadcast(&mut self, entry: &BusEntry, frame: &Frame, heard: &EntryContext) -> bool {
        let shared = Arc::clone(&self.shared);
        let Some(other) = self.other(entry, heard.now) else {
            return false;
        };
        let bucket = &mut other.bucket;
        let steps = shared
            .mesh
            .apply_broadcast(&entry.from, bucket, frame, heard.now);
        self.carry_out(entry, steps, heard.now)
    }

    /// Carries out what the mesh decided. A sender can't be read more slowly on a bus; one that sends too much is ignored
    /// for a while, and what is missed of it is fetched later.
    fn carry_out(&mut self, entry: &BusEntry, steps: Steps, now: Now) -> bool {
        if steps.pause_ms > 0
            && let Some(other) = self.others.get_mut(&entry.from)
        {
            other.muted_until_ms = now.uptime_ms + steps.pause_ms;
        }
        let has_news = !steps.imports.is_empty();
        self.shared.carry_out(steps);
        has_news
    }

    /// What is kept of a sender; `None`: there are too many of them.
    fn other(&mut self, entry: &BusEntry, now: Now) -> Option<&mut BusPeer> {
        if !self.others.contains_key(&entry.from) {
            if self.others.len() >= OTHERS_MAX {
                return None;
            }
            let other = BusPeer {
                sender: entry.sender,
                link: None,
                bucket: RowBudget::full(now.uptime_ms),
                told: 0,
                muted_until_ms: 0,
            };
            self.others.insert(entry.from.clone(), other);
        }
        let other = self.others.get_mut(&entry.from)?;
        other.sender = entry.sender;
        Some(other)
    }
}

/// Whether this may be broadcast: the sender's own revocations, and little else.
fn is_for_all(frame: &Frame, sender: BusSender) -> bool {
    match frame {
        Frame::Delta { origin, .. } => *origin == sender.origin,
        Frame::Ping(_) | Frame::Loose(_) | Frame::Gone | Frame::Goodbye(_) => true,
        Frame::Hello(_)
        | Frame::Pong { .. }
        | Frame::Ack { .. }
        | Frame::Want { .. }
        | Frame::Reconcile { .. }
        | Frame::Certificates(_) => false,
    }
}
