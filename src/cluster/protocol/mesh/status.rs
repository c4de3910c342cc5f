//! The periodic work of the mesh, and its status for operators.

use std::sync::Arc;

use parking_lot::Mutex;

use super::state::Mesh;
use super::steps::{LinkId, Now, Steps};
use crate::clock::UnixTime;
use crate::cluster::protocol::failure_detector::SILENCE_MAX_MS;
use crate::cluster::protocol::frame::{Frame, Ping};
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{CaughtUp, LinkKind, PeerSession};
use crate::cluster::protocol::readiness::{SKEW_WARNING_MS, median};
use crate::revocation::{Import, NodeName, Origin, SyncFinding};

/// A node, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PeerStatus {
    /// What it is called.
    #[serde(serialize_with = "as_text")]
    pub node: NodeName,
    /// Where it stands, as it said last.
    pub state: &'static str,
    /// Whether there is a connection.
    pub is_connected: bool,
    /// All that it did until so long ago is known here, in milliseconds.
    pub silent_ms: u64,
    /// How far its clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
}

fn as_text<S: serde::Serializer>(node: &NodeName, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(node.as_str())
}

impl Mesh {
    /// What this node says of itself.
    pub(crate) fn ping(&self, now: Now) -> Ping {
        let seen = self.seen.lock();
        Ping {
            now_ms: now.wall_ms,
            stamp_ms: now.uptime_ms,
            state: seen.readiness.state(),
            is_complete: seen.readiness.is_complete(),
            vector: self.replication_log.vector(),
            heartbeats: seen.failure_detector.advertised(now.uptime_ms),
        }
    }

    /// What is due by now, and where this node stands. To be called several times a second.
    pub(crate) fn tick(&self, now: Now) -> (Steps, SyncFinding) {
        let mut steps = Steps::default();
        let links = self.sessions();
        self.notice_pause(&links, &mut steps, now);
        self.notice_step(&links, now);
        let found = self.assess(&links, &mut steps, now);
        for (link, session) in &links {
            let mut session = session.lock();
            let silent_ms = now.uptime_ms.saturating_sub(session.last_message_ms);
            if silent_ms > SILENCE_MAX_MS {
                steps
                    .closes
                    .push((*link, format!("it was silent for {silent_ms} ms")));
                continue;
            }
            if session.peer.is_none() {
                continue;
            }
            if session.kind == LinkKind::Connection && session.is_ping_due(now.uptime_ms) {
                steps.frames.push((*link, Frame::Ping(self.ping(now))));
            }
            if session
                .is_reconciliation_due(self.is_comparison_needed(&session, now), now.uptime_ms)
            {
                let frame = self.begin_reconciliation(&mut session, now);
                steps.frames.push((*link, frame));
            }
        }
        (steps, found)
    }

    /// A process that did not run for long has missed what was said meanwhile.
    fn notice_pause(
        &self,
        links: &[(LinkId, Arc<Mutex<PeerSession>>)],
        steps: &mut Steps,
        now: Now,
    ) {
        let mut seen = self.seen.lock();
        let paused_ms = now.uptime_ms.saturating_sub(seen.ticked_ms);
        seen.ticked_ms = now.uptime_ms;
        if paused_ms <= SILENCE_MAX_MS {
            return;
        }
        seen.readiness.begin_anew(now.uptime_ms);
        drop(seen);
        for (link, session) in links {
            session.lock().agreed_ms = None;
            steps.closes.push((
                *link,
                format!("this process did not run for {paused_ms} ms"),
            ));
        }
    }

    /// What was compared by a clock that was wrong may lack something: entries that seemed to be over, and cutoffs
    /// that seemed to lie ahead.
    fn notice_step(&self, links: &[(LinkId, Arc<Mutex<PeerSession>>)], now: Now) {
        let ahead_ms = difference(now.wall_ms, now.uptime_ms);
        let mut seen = self.seen.lock();
        let step_ms = ahead_ms.saturating_sub(seen.wall_ahead_ms);
        if step_ms.unsigned_abs() <= SKEW_WARNING_MS {
            return;
        }
        seen.wall_ahead_ms = ahead_ms;
        drop(seen);
        for (_, session) in links {
            session.lock().clock_stepped(step_ms);
        }
    }

    fn assess(
        &self,
        links: &[(LinkId, Arc<Mutex<PeerSession>>)],
        steps: &mut Steps,
        now: Now,
    ) -> SyncFinding {
        let views: Vec<_> = links
            .iter()
            .filter_map(|(_, session)| session.lock().view())
            .collect();
        let reached = |origin: &Origin| self.replication_log.reached(origin);
        let caught_up = links.iter().filter_map(|(_, session)| {
            let mut session = session.lock();
            let caught_up = session.caught_up(reached, now.uptime_ms)?;
            Some((session.peer.as_ref()?.node.clone(), caught_up))
        });
        let caught_up: Vec<_> = caught_up.collect();
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        for (node, CaughtUp { at_ms, heartbeats }) in caught_up {
            seen.failure_detector
                .on_heartbeat(&node, at_ms, now.uptime_ms);
            seen.apply_heartbeats(&heartbeats, &self.name, at_ms, now.uptime_ms);
        }
        seen.failure_detector
            .mark_silent(&seen.rules.quarantine, now.uptime_ms);
        let detector = &seen.failure_detector;
        let mut ended = seen.nodes.prune(|node| detector.has(node), now.uptime_ms);
        ended.extend(seen.forget_quarantined());
        self.end_origins(ended, steps);
        let was_complete = seen.readiness.is_complete();
        let mut reached = seen.targets.reached(&views);
        if let Some(bus) = &mut seen.bus {
            let on_bus = bus.health.view(seen.readiness.since_ms(), now.uptime_ms);
            if on_bus.is_silent {
                seen.failure_detector.miss_nodes_on_bus(now.uptime_ms);
            }
            if seen.readiness.is_settled() {
                bus.health.lack_nothing();
            }
            reached.bus = Some(on_bus);
        }
        let found = seen.readiness.update(
            &seen.rules,
            &views,
            reached,
            &seen.failure_detector,
            now.uptime_ms,
        );
        if seen.readiness.is_complete() && !was_complete {
            steps.imports.push(Import::complete());
        }
        found
    }

    /// The operator takes the responsibility: this node knows enough.
    pub(crate) fn force_ready(&self) {
        self.seen.lock().readiness.force();
    }

    /// Of every node that is connected or missed, for people.
    pub(crate) fn status(&self, now: Now) -> Vec<PeerStatus> {
        let heartbeats = self.seen.lock().failure_detector.heartbeats(now.uptime_ms);
        let links = self.sessions();
        let mut peers: Vec<_> = links
            .iter()
            .filter_map(|(_, session)| {
                let session = session.lock();
                let peer = session.peer.as_ref()?;
                let heard = heartbeats.iter().find(|heard| heard.node == peer.node);
                Some(PeerStatus {
                    node: peer.node.clone(),
                    state: session.state.name(),
                    is_connected: true,
                    silent_ms: heard.map_or(0, |heard| u64::from(heard.ago_ms)),
                    clock_ahead_ms: session.offset_ms,
                })
            })
            .collect();
        for heard in heartbeats {
            if peers.iter().all(|peer| peer.node != heard.node) {
                peers.push(PeerStatus {
                    node: heard.node,
                    state: if heard.has_left {
                        "left"
                    } else {
                        "not connected"
                    },
                    is_connected: false,
                    silent_ms: u64::from(heard.ago_ms),
                    clock_ahead_ms: None,
                });
            }
        }
        peers.sort_by(|one, other| one.node.cmp(&other.node));
        peers
    }

    /// How long a question and its answer take on the way to each peer, in milliseconds, as far as that is known.
    pub(crate) fn round_trips_ms(&self) -> Vec<u64> {
        let by_bus_ms = self
            .seen
            .lock()
            .bus
            .as_ref()
            .and_then(|bus| bus.health.round_trip_ms());
        let links = self.sessions();
        let of_peer = |(_, session): &(LinkId, Arc<Mutex<PeerSession>>)| {
            let session = session.lock();
            session.peer.as_ref()?;
            match session.kind {
                LinkKind::Connection => session.round_trip_ms(),
                LinkKind::Bus => by_bus_ms,
            }
        };
        links.iter().filter_map(of_peer).collect()
    }

    /// How many nodes ought to have every revocation, beside this one.
    pub(crate) fn expected(&self) -> u64 {
        let seen = self.seen.lock();
        seen.failure_detector.present().max(seen.targets.others()) as u64
    }

    /// The time that most nodes have; `None`: no other node is connected.
    pub(crate) fn agreed_time(&self, now: Now) -> Option<UnixTime> {
        let ahead_ms = self.clock_ahead_ms()?;
        let time_ms = now.wall_ms.saturating_add_signed(ahead_ms.saturating_neg());
        Some(UnixTime::from_seconds(time_ms / 1_000))
    }

    /// How far our clock is ahead of those of the others, in milliseconds.
    pub(crate) fn clock_ahead_ms(&self) -> Option<i64> {
        let links = self.sessions();
        let offsets = links
            .iter()
            .filter_map(|(_, session)| session.lock().offset_ms);
        median(offsets.collect()).map(i64::saturating_neg)
    }
}
