//! Messages of the bus, where every node hears every other, and what its session reports.

use log::warn;

use super::state::Mesh;
use super::steps::{LinkId, Now, Steps};
use crate::cluster::protocol::bus::{
    BusAddress, BusEnvelope, BusEvent, BusLink, BusMessage, BusSender, BusState, is_for_all,
};
use crate::cluster::protocol::frame::{
    Frame, Goodbye, Heartbeat, Hello, InvalidFrame, Ping, VERSION,
};
use crate::cluster::protocol::peer_session::{LinkKind, PeerId, PeerSession};
use crate::revocation::{NodeName, VersionVector};

impl Mesh {
    /// There is a bus, and nothing was heard on it yet.
    pub(crate) fn expect_bus(&self, now: Now) {
        let (_, own_number) = self.replication_log.own();
        self.seen.lock().bus = Some(BusState::new(own_number, now.uptime_ms));
    }

    /// Does something with what is known of the bus; `None`: there is none. The moment is that since which it counts
    /// what is known.
    fn with_bus<T>(&self, act: impl FnOnce(&mut BusState, u64) -> T) -> Option<T> {
        let seen = &mut *self.seen.lock();
        let since_ms = seen.readiness.since_ms();
        seen.bus.as_mut().map(|bus| act(bus, since_ms))
    }

    /// The sender of what this node writes to the bus.
    pub(crate) fn bus_sender(&self) -> BusSender {
        let session_id = self.with_bus(|bus, _| bus.session_id());
        BusSender {
            origin: self.replication_log.own().0,
            session_id: session_id.unwrap_or_default(),
        }
    }

    /// What this node says of itself on the bus.
    pub(crate) fn ping_by_bus(&self, now: Now) -> Frame {
        self.with_bus(|bus, _| bus.note_ping(now));
        Frame::Ping(self.ping(now))
    }

    /// A frame as it is written to the bus: its stamps go by the clock of the server.
    pub(crate) fn stamped_for_bus(&self, frame: Frame, now: Now) -> Frame {
        let seen = self.seen.lock();
        match &seen.bus {
            Some(bus) => bus.stamped(frame, now.uptime_ms),
            None => frame,
        }
    }

    /// Handles what the session at the bus reports.
    pub(crate) fn on_bus_event(&self, event: BusEvent, now: Now) -> Steps {
        let mut steps = Steps::default();
        self.with_bus(|bus, since_ms| match event {
            BusEvent::SessionStarted(session_id) => {
                let over = bus.start_session(session_id).into_iter();
                let close = |link| (link, "the bus is begun anew".to_owned());
                steps.closes.extend(over.map(close));
            }
            BusEvent::Written {
                asked_ms,
                server_ms,
            } => bus.on_written(asked_ms, server_ms, now.uptime_ms),
            BusEvent::CaughtUp { marked_ms } => {
                bus.health.read(marked_ms, since_ms, now.uptime_ms);
            }
            BusEvent::EntriesLost => {
                bus.health.lack_some();
                steps.publish_after = Some(bus.echoed());
            }
            BusEvent::SessionEnded => bus.health.break_off(),
        });
        steps
    }

    /// Handles a message that was read from the bus.
    pub(crate) fn on_bus_message(
        &self,
        message: BusMessage,
        now: Now,
    ) -> Result<Steps, InvalidFrame> {
        let BusMessage { envelope, frame } = message;
        let is_own = envelope.from == self.name;
        let is_let_in = is_own || self.listens_to(&envelope.from);
        let frame = self.with_bus(|bus, _| {
            let is_for_us = is_let_in && bus.is_addressed_by(&envelope);
            is_for_us.then(|| bus.unstamped(frame, now.uptime_ms))
        });
        let Some(frame) = frame.flatten() else {
            return Ok(Steps::default());
        };
        if is_own {
            return Ok(self.on_own_message(&envelope, &frame, now));
        }
        match frame {
            Frame::Ping(ping) => self.on_ping_by_bus(&envelope, ping, now),
            Frame::Hello(_)
            | Frame::Pong { .. }
            | Frame::Delta { .. }
            | Frame::Unnumbered(_)
            | Frame::Ack { .. }
            | Frame::RequestRows { .. }
            | Frame::CompareSets
            | Frame::Reconcile { .. }
            | Frame::Goodbye(_)
            | Frame::Certificates(_) => self.on_frame_by_bus(&envelope, frame, now),
        }
    }

    /// A message of this node itself: it shows that the bus delivers.
    fn on_own_message(&self, envelope: &BusEnvelope, frame: &Frame, now: Now) -> Steps {
        let session_id = envelope.sender.session_id;
        let is_own = self.with_bus(|bus, _| bus.is_own_session(session_id));
        if is_own != Some(true) {
            if envelope.age_ms.is_some() {
                return self.apply_broadcast(envelope, frame, now); // of an earlier process
            }
            self.warn_of_namesake(now);
            return Steps::default();
        }
        let is_ours = envelope.sender.origin == self.replication_log.own().0;
        self.with_bus(|bus, since_ms| {
            if let Frame::Ping(ping) = frame
                && envelope.age_ms.is_none()
            {
                bus.on_own_ping(ping, envelope.server_ms, since_ms, now.uptime_ms);
            }
            if let Some(last) = frame.last_number().filter(|_| is_ours) {
                bus.on_echo(last);
            }
        });
        Steps::default()
    }

    fn warn_of_namesake(&self, now: Now) {
        let is_due = self.with_bus(|bus, _| bus.is_namesake_warning_due(now.uptime_ms));
        if is_due == Some(true) {
            let node = &self.name;
            warn!(node:%; "another node on the bus has this node's name: give every node its own name");
        }
    }

    /// A node is alive; without a connection to it, the bus is the link.
    fn on_ping_by_bus(
        &self,
        envelope: &BusEnvelope,
        ping: Ping,
        now: Now,
    ) -> Result<Steps, InvalidFrame> {
        let number = ping.vector.get(&envelope.sender.origin);
        let number = number.copied().unwrap_or_default();
        self.with_bus(|bus, _| {
            if let Some(peer) = bus.peer(envelope, now.uptime_ms) {
                peer.advertised = Some(number);
            }
        });
        if let Some(age_ms) = envelope.age_ms {
            self.note_earlier_presence(envelope, age_ms, false, now);
            return Ok(Steps::default());
        }
        let at = self.with_bus(|bus, _| bus.when_written(envelope.server_ms, now));
        let at = at.unwrap_or(now);
        if let Some(link) = self.link_by_bus(envelope) {
            if envelope.to.is_some()
                && let Some(session) = self.session(link)
            {
                session.lock().peer_began_anew(now.uptime_ms); // it has forgotten what was being said
            }
            return self.on_message(link, Frame::Ping(ping), at);
        }
        if self.is_connected_to(&envelope.from) {
            return Ok(Steps::default());
        }
        Ok(self.connect_by_bus(envelope, ping, at))
    }

    /// A node said so long ago that it lives, or that it stops. A node that was never heard again may have taken logouts
    /// that it could no longer write; one that has left had told the number of its last revocation just before.
    fn note_earlier_presence(&self, envelope: &BusEnvelope, age_ms: u64, has_left: bool, now: Now) {
        let known = self.replication_log.reached(&envelope.sender.origin);
        let seen = &mut *self.seen.lock();
        let peer = seen.bus.as_mut();
        let Some(peer) = peer.and_then(|bus| bus.peer(envelope, now.uptime_ms)) else {
            return;
        };
        if has_left && peer.advertised.is_some_and(|last| known >= last) {
            let at_ms = now.uptime_ms.saturating_sub(age_ms);
            return seen.failure_detector.left(&envelope.from, at_ms);
        }
        let heartbeat = Heartbeat {
            node: envelope.from.clone(),
            ago_ms: u32::try_from(age_ms).unwrap_or(u32::MAX),
            has_left,
        };
        seen.failure_detector
            .on_earlier_heartbeat(&heartbeat, now.uptime_ms);
    }

    /// The link to the sender, if it is by the bus and to this very session.
    fn link_by_bus(&self, envelope: &BusEnvelope) -> Option<LinkId> {
        let link = self.with_bus(|bus, _| bus.link_to(envelope)).flatten()?;
        self.is_link_to(link, &envelope.from).then_some(link)
    }

    /// A node is heard on the bus to which there is no connection. Its own ping is as good as a greeting.
    fn connect_by_bus(&self, envelope: &BusEnvelope, ping: Ping, now: Now) -> Steps {
        let link = self.with_bus(|bus, _| bus.open_link(envelope, now.uptime_ms));
        let Some(link) = link.flatten() else {
            return Steps::default();
        };
        let node = &envelope.from;
        let is_dialed = self.name < *node; // the two must not both compare
        let mut session = PeerSession::new(is_dialed, None, vec![node.clone()], now.uptime_ms);
        session.kind = LinkKind::Bus;
        let hello = Hello {
            version: VERSION,
            node: node.clone(),
            origin: envelope.sender.origin,
            ping,
        };
        let session = self.add_link(link, session);
        let mut steps = self.on_hello(link, &mut session.lock(), hello, now);
        let to = BusAddress {
            node: node.clone(),
            session_id: envelope.sender.session_id,
        };
        let greeting = Frame::Ping(self.ping(now));
        steps.opens = Some((link, BusLink { to, greeting }));
        steps
    }

    /// A broadcast, or a message to this node.
    fn on_frame_by_bus(
        &self,
        envelope: &BusEnvelope,
        frame: Frame,
        now: Now,
    ) -> Result<Steps, InvalidFrame> {
        let is_direct = envelope.to.is_some();
        if !is_direct && !is_for_all(&frame, envelope.sender.origin) {
            return Err(InvalidFrame("a message that is not for all was broadcast"));
        }
        if let (Some(age_ms), Frame::Goodbye(Goodbye::Leaving)) = (envelope.age_ms, &frame) {
            self.note_earlier_presence(envelope, age_ms, true, now);
            return Ok(Steps::default());
        }
        let is_muted = self.with_bus(|bus, _| bus.is_muted(&envelope.from, now.uptime_ms));
        if frame.bytes() > 0 && is_muted == Some(true) {
            return Ok(Steps::default());
        }
        let steps = match self.link_by_bus(envelope) {
            Some(link) => self.on_message(link, frame, now)?,
            None if is_direct => Steps::default(),
            None => self.apply_broadcast(envelope, &frame, now),
        };
        if steps.pause_ms > 0 {
            let until_ms = now.uptime_ms + steps.pause_ms;
            self.with_bus(|bus, _| bus.mute(&envelope.from, until_ms));
        }
        Ok(steps)
    }

    /// Rows that a node broadcasts, to which there is a connection, or nothing yet. Its numbers are believed if it has
    /// introduced itself as that origin.
    fn apply_broadcast(&self, envelope: &BusEnvelope, frame: &Frame, now: Now) -> Steps {
        let mut steps = Steps::default();
        let is_known = self.with_bus(|bus, _| bus.peer(envelope, now.uptime_ms).is_some());
        if is_known != Some(true) {
            return steps; // there are too many nodes
        }
        match frame {
            Frame::Delta {
                origin,
                first,
                at_ms,
                rows,
            } => {
                let last = first.saturating_add(rows.len() as u64);
                if self.replication_log.reached(origin) >= last.saturating_sub(1) {
                    return steps;
                }
                steps.pause_ms = self.pause_for_sender(envelope, rows.len(), now);
                let said = VersionVector::from([(*origin, last.saturating_sub(1))]);
                self.renew_if_behind(&said, &mut steps, now);
                let is_its = self.seen.lock().nodes.owner(origin) == Some(&envelope.from);
                if is_its {
                    if *at_ms > 0 {
                        steps.propagation_ms = self.propagation_ms(*at_ms, now);
                    }
                    self.apply_numbered((*origin, *first, rows), &mut steps, now);
                } else {
                    steps.imports.extend(self.apply_rows(rows, now));
                }
            }
            Frame::Unnumbered(rows) => {
                steps.pause_ms = self.pause_for_sender(envelope, rows.len(), now);
                steps.imports.extend(self.apply_rows(rows, now));
            }
            Frame::Hello(_)
            | Frame::Ping(_)
            | Frame::Pong { .. }
            | Frame::Ack { .. }
            | Frame::RequestRows { .. }
            | Frame::CompareSets
            | Frame::Reconcile { .. }
            | Frame::Goodbye(_)
            | Frame::Certificates(_) => {}
        }
        steps
    }

    /// For how long a sender is to be ignored after so many rows, in milliseconds.
    fn pause_for_sender(&self, envelope: &BusEnvelope, rows: usize, now: Now) -> u64 {
        let over_ms = self.with_bus(|bus, _| {
            let peer = bus.peer(envelope, now.uptime_ms);
            peer.map(|peer| peer.budget.spend(rows as u64, now.uptime_ms))
        });
        self.throttle(over_ms.flatten().unwrap_or_default())
    }

    /// Whether a peer has told more than has arrived. What the bus brings to one node and what it brings to all come
    /// in no order.
    pub(super) fn lacks_rows_of(&self, session: &PeerSession, peer: &PeerId) -> bool {
        let told = session
            .vector
            .get(&peer.origin)
            .copied()
            .unwrap_or_default();
        session.kind == LinkKind::Bus && told > self.replication_log.reached(&peer.origin)
    }

    /// Whether this is the way to a node.
    pub(crate) fn is_link_to(&self, link: LinkId, node: &NodeName) -> bool {
        let counting = self.link_to(node);
        counting.is_some_and(|(counting, _)| counting == link)
    }
}
