//! Messages of the bus, where every node hears every other.

use super::state::Mesh;
use super::steps::{LinkId, Now, Steps};
use crate::cluster::protocol::bus::BusHealth;
use crate::cluster::protocol::frame::{Frame, Heartbeat, Hello, Ping, VERSION};
use crate::cluster::protocol::peer_session::{LinkKind, PeerId, PeerSession, RowBudget};
use crate::revocation::{NodeName, Origin, VersionVector};

impl Mesh {
    /// There is a bus, and nothing was heard on it yet.
    pub(crate) fn expect_bus(&self, now: Now) {
        self.seen.lock().bus = Some(BusHealth::since(now.uptime_ms));
    }

    /// Does something with what is known of the bus. The moment is that since which it counts what is known.
    pub(crate) fn on_bus(&self, note: impl FnOnce(&mut BusHealth, u64)) {
        let seen = &mut *self.seen.lock();
        if let Some(bus) = &mut seen.bus {
            note(bus, seen.readiness.since_ms());
        }
    }

    /// A node is heard on the bus to which there is no connection. Its own ping is as good as a greeting; this is
    /// what it is greeted with, and what comes of it.
    pub(crate) fn connect_by_bus(
        &self,
        link: LinkId,
        node: &NodeName,
        origin: Origin,
        ping: Ping,
        now: Now,
    ) -> (Frame, Steps) {
        let is_dialed = self.name < *node; // the two must not both compare
        let mut session = PeerSession::new(is_dialed, None, vec![node.clone()], now.uptime_ms);
        session.kind = LinkKind::Bus;
        let hello = Hello {
            version: VERSION,
            node: node.clone(),
            origin,
            ping,
        };
        let session = self.add_link(link, session);
        let steps = self.on_hello(link, &mut session.lock(), hello, now);
        (Frame::Ping(self.ping(now)), steps)
    }

    /// A node was heard on the bus before this one was there; `is_known` is whether all that it told is known here.
    pub(crate) fn was_on_bus(&self, told: &Heartbeat, is_known: bool, now: Now) {
        let mut seen = self.seen.lock();
        let members = &mut seen.members;
        if told.has_left && is_known {
            members.left(&told.node, now.uptime_ms);
        } else {
            members.was_on_bus(told, now.uptime_ms);
        }
    }

    /// Whether a peer has told more than has arrived. What the bus brings to one node and what it brings to all come
    /// in no order.
    pub(super) fn lacks_words_of(&self, session: &PeerSession, peer: &PeerId) -> bool {
        let told = session
            .vector
            .get(&peer.origin)
            .copied()
            .unwrap_or_default();
        session.kind == LinkKind::Bus && told > self.replication_log.reached(&peer.origin)
    }

    /// A node to which the bus leads has greeted again: it has forgotten what was being said.
    pub(crate) fn on_greeting_by_bus(&self, link: LinkId, now: Now) {
        if let Some(session) = self.session(link) {
            session.lock().peer_began_anew(now.uptime_ms);
        }
    }

    /// Rows that a node broadcasts, to which there is a connection, or nothing yet. Its numbers are believed if it has
    /// introduced itself as that origin.
    pub(crate) fn apply_broadcast(
        &self,
        node: &NodeName,
        bucket: &mut RowBudget,
        frame: &Frame,
        now: Now,
    ) -> Steps {
        let mut steps = Steps::default();
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
                steps.pause_ms = self.pause_for(bucket, rows.len(), now);
                let said = VersionVector::from([(*origin, last.saturating_sub(1))]);
                self.renew_if_behind(&said, &mut steps, now);
                let is_its = self.seen.lock().nodes.owner(origin) == Some(node);
                if is_its {
                    if *at_ms > 0 {
                        steps.spread_ms = self.spread_ms(*at_ms, now);
                    }
                    self.count_in((*origin, *first, rows), &mut steps, now);
                } else {
                    steps.imports.extend(self.take_in(rows, now));
                }
            }
            Frame::Loose(rows) => {
                steps.pause_ms = self.pause_for(bucket, rows.len(), now);
                steps.imports.extend(self.take_in(rows, now));
            }
            Frame::Hello(_)
            | Frame::Ping(_)
            | Frame::Pong { .. }
            | Frame::Ack { .. }
            | Frame::Want { .. }
            | Frame::Gone
            | Frame::Reconcile { .. }
            | Frame::Goodbye(_)
            | Frame::Certificates(_) => {}
        }
        steps
    }

    /// Whether this is the way to a node.
    pub(crate) fn is_link_to(&self, link: LinkId, node: &NodeName) -> bool {
        let counting = self.link_to(node);
        counting.is_some_and(|(counting, _)| counting == link)
    }
}
