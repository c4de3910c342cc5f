//! Replication of rows by their numbers: pushing, acknowledging, and asking for missing ones.

use std::sync::atomic::Ordering;

use log::warn;

use super::state::Mesh;
use super::steps::{LinkId, Now, Steps};
use crate::cluster::protocol::failure_detector::SILENCE_MAX_MS;
use crate::cluster::protocol::frame::{Frame, Ping, ROWS_MAX};
use crate::cluster::protocol::membership::Membership;
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{LinkKind, PeerId, PeerSession, RowBudget};
use crate::revocation::{Import, Origin, Progress, ReceivedRows, Row, VersionVector};

/// How many rows are sent at once to a node that lacks them; it asks again for more.
const REQUESTED_MAX: usize = 16 * ROWS_MAX;

/// How many origins a peer is asked for at once.
const REQUESTS_MAX: usize = 64;

/// How long after it became another origin a node becomes one again at the earliest: an older copy of a journal is found
/// once, and a peer that repeats it causes no work.
const RENEWAL_PAUSE_MS: u64 = 60_000;

impl Mesh {
    /// The nodes of which the journal says that they introduced themselves, and as which origins.
    pub(crate) fn remember<'a>(
        &self,
        introduced: impl IntoIterator<Item = (&'a Origin, &'a String)>,
        now: Now,
    ) {
        let nodes = Membership::from_journal(introduced, now.uptime_ms);
        let counted = self.replication_log.vector();
        let nameless = counted.keys().filter(|of| nodes.owner(of).is_none());
        self.replication_log
            .forget(&nameless.copied().collect::<Vec<_>>());
        self.seen.lock().nodes = nodes;
    }

    /// This node's own rows after a number, to be sent; `Gone`, when they are not kept any more.
    pub(crate) fn delta_after(&self, origin: Origin, after: u64) -> Frame {
        match self.replication_log.rows_after(&origin, after, ROWS_MAX) {
            Some(rows) => {
                let at_ms = self.replication_log.on_disk_ms(origin, after + 1);
                self.advertise(origin, after + rows.len() as u64);
                self.exchanged
                    .sent
                    .fetch_add(rows.len() as u64, Ordering::Relaxed);
                Frame::Delta {
                    origin,
                    first: after + 1,
                    at_ms: at_ms.unwrap_or_default(),
                    rows,
                }
            }
            None => Frame::CompareSets,
        }
    }

    pub(super) fn on_ping(
        &self,
        session: &mut PeerSession,
        peer: &PeerId,
        ping: Ping,
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        self.renew_if_behind(&ping.vector, steps, now);
        if session.kind == LinkKind::Bus {
            session.offset_ms = Some(difference(ping.now_ms, now.wall_ms));
        }
        self.note_ping(session, ping);
        self.request_missing(session, peer, now)
    }

    /// What the peer knew a second ago, and is not here yet.
    pub(super) fn request_missing(
        &self,
        session: &mut PeerSession,
        peer: &PeerId,
        now: Now,
    ) -> Vec<Frame> {
        if session.reconciliation.is_some() {
            return Vec::new(); // a comparison finds it, too
        }
        let own = self.replication_log.own().0;
        let counted = self.replication_log.vector();
        let mut frames = Vec::new();
        for (origin, there) in &session.vector.clone() {
            if frames.len() >= REQUESTS_MAX {
                break; // the rest is asked for a second later
            }
            let here = match counted.get(origin) {
                Some(reached) => session.relayed(origin).max(*reached),
                None if session.is_compared => session.relayed(origin),
                None => {
                    session.is_reconciliation_due = true;
                    continue;
                }
            };
            let is_direct = *origin != peer.origin && self.is_linked(origin);
            let there = if is_direct || *origin == peer.origin {
                session
                    .older_vector
                    .get(origin)
                    .copied()
                    .unwrap_or_default()
            } else {
                *there
            };
            if *origin != own && there > here {
                frames.extend(session.request_rows(*origin, here, now.uptime_ms));
            }
        }
        let asked = frames.len() as u64;
        self.exchanged.ranges.fetch_add(asked, Ordering::Relaxed);
        frames
    }

    /// Whether an origin tells us itself.
    pub(super) fn is_linked(&self, origin: &Origin) -> bool {
        let routes = self.routes();
        routes.iter().any(|(_, route)| route.peer.origin == *origin)
    }

    /// Rows that the peer revoked itself.
    pub(super) fn on_delta(
        &self,
        session: &mut PeerSession,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        let before = self.replication_log.reached(&origin);
        let received = self.apply_numbered((origin, first, rows), steps, now);
        if self.replication_log.reached(&origin) == before {
            steps.propagation_ms = None; // it was known
        }
        match received {
            Some(ReceivedRows::Reached(reached)) => vec![Frame::Ack { origin, reached }],
            None => Vec::new(),
            Some(ReceivedRows::Gap(reached)) => {
                let request = session.request_rows(origin, reached, now.uptime_ms);
                self.exchanged.ranges.fetch_add(1, Ordering::Relaxed);
                request.into_iter().collect()
            }
        }
    }

    /// Rows that another node revoked. They are taken if they were asked for, and counted for this connection only: what
    /// a peer says of the numbers of others binds no other node.
    pub(super) fn on_relayed_delta(
        &self,
        link: LinkId,
        session: &mut PeerSession,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        if !session.has_requested(&origin) {
            self.exchanged.foreign.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut session.is_foreign_noted, true)
                && let Some(peer) = &session.peer
            {
                let peer = &peer.node;
                warn!(peer:%; "a peer sent rows of an origin that is not its own; they are ignored");
            }
            return Vec::new();
        }
        let reached = session
            .relayed(&origin)
            .max(self.replication_log.reached(&origin));
        if first > reached + 1 {
            self.exchanged.ranges.fetch_add(1, Ordering::Relaxed);
            let request = session.request_rows(origin, reached, now.uptime_ms);
            return request.into_iter().collect();
        }
        let last = first.saturating_add(rows.len() as u64).saturating_sub(1);
        session.relays(origin, last.max(reached));
        let import = self.apply_rows(rows, now);
        self.pass_on(link, session, import.as_ref(), steps);
        steps.imports.extend(import);
        Vec::new()
    }

    /// Takes in numbered rows; `None`: they are this node's own, or their origin was not introduced.
    pub(super) fn apply_numbered(
        &self,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Option<ReceivedRows> {
        let mut import = self.apply_rows(rows, now).unwrap_or_default();
        if origin == self.replication_log.own().0 {
            steps.imports.push(import);
            return None;
        }
        let before = self.replication_log.reached(&origin);
        let received = self.replication_log.receive(origin, first, rows);
        if let Some(ReceivedRows::Reached(reached)) = received
            && reached > before
        {
            import.progress.reached.push((origin, reached));
        }
        steps.imports.push(import);
        received
    }

    /// Puts rows in force, as far as a node may say what they say. What was news is to be written.
    pub(super) fn apply_rows(&self, rows: &[Row], now: Now) -> Option<Import> {
        let received = rows.len() as u64;
        self.exchanged
            .received
            .fetch_add(received, Ordering::Relaxed);
        let mut news = Vec::new();
        for revocation in rows.iter().filter_map(Row::revocation) {
            let revocation = self.limits.limit_row(revocation, now.wall());
            if self.set.has_room_for(&revocation) && self.set.insert(&revocation, now.wall()) {
                news.push(revocation);
            }
        }
        (!news.is_empty()).then(|| Import {
            revocations: news,
            progress: Progress::default(),
        })
    }

    /// What is news from a peer that is between us and others is said to every other node here, once: no other may bring it
    /// to them.
    pub(super) fn pass_on(
        &self,
        link: LinkId,
        session: &PeerSession,
        import: Option<&Import>,
        steps: &mut Steps,
    ) {
        let Some(import) = import.filter(|_| session.is_relay) else {
            return;
        };
        let rows: Vec<_> = import.revocations.iter().map(Row::encode).collect();
        for other in self.other_links(link) {
            let sent = rows.len() as u64;
            self.exchanged.sent.fetch_add(sent, Ordering::Relaxed);
            steps.frames.push((other, Frame::Unnumbered(rows.clone())));
        }
    }

    pub(super) fn other_links(&self, link: LinkId) -> Vec<LinkId> {
        let links = self.routes().into_iter().map(|(link, _)| link);
        links.filter(|one| *one != link).collect()
    }

    pub(super) fn pause_for(&self, budget: &mut RowBudget, rows: usize, now: Now) -> u64 {
        self.throttle(budget.spend(rows as u64, now.uptime_ms))
    }

    /// For how long a peer is not to be read that is so far over its budget. While this node does not know everything
    /// yet, it takes all that it gets.
    pub(super) fn throttle(&self, pause_ms: u64) -> u64 {
        let is_throttled = pause_ms > 0 && self.seen.lock().readiness.is_settled();
        if is_throttled {
            self.exchanged.throttled.fetch_add(1, Ordering::Relaxed);
            pause_ms.min(SILENCE_MAX_MS / 5)
        } else {
            0
        }
    }

    /// The rows of an origin after a number, as far as they are kept.
    pub(super) fn requested_rows(&self, origin: Origin, after: u64) -> Vec<Frame> {
        let Some(rows) = self
            .replication_log
            .rows_after(&origin, after, REQUESTED_MAX)
        else {
            return vec![Frame::CompareSets];
        };
        self.advertise(origin, after + rows.len() as u64);
        self.exchanged
            .sent
            .fetch_add(rows.len() as u64, Ordering::Relaxed);
        let delta = |(number, rows): (usize, &[Row])| Frame::Delta {
            origin,
            first: after + 1 + (number * ROWS_MAX) as u64,
            at_ms: 0,
            rows: rows.to_vec(),
        };
        rows.chunks(ROWS_MAX).enumerate().map(delta).collect()
    }

    /// How long something took that happened then, if that counts: what was done before this node knew everything
    /// took as long as that did.
    pub(super) fn propagation_ms(&self, at_ms: u64, now: Now) -> Option<u64> {
        let ready_ms = self.seen.lock().readiness.settled_ms()?;
        (at_ms >= ready_ms).then(|| now.uptime_ms.saturating_sub(at_ms))
    }

    /// Another node knows numbers that this node has not sent since its start: its journal is an older copy. What it
    /// numbers from now on must not be taken for what it numbered then.
    pub(super) fn renew_if_behind(&self, vector: &VersionVector, steps: &mut Steps, now: Now) {
        let (origin, _) = self.replication_log.own();
        let advertised = self.seen.lock().advertised;
        let advertised = if advertised.0 == origin {
            advertised.1
        } else {
            0
        };
        if vector.get(&origin).is_some_and(|known| *known > advertised) {
            self.order_renewal(steps, now);
        }
    }

    /// This node is to be another origin, unless it became one just now.
    pub(super) fn order_renewal(&self, steps: &mut Steps, now: Now) {
        let renewed_ms = &mut self.seen.lock().renewed_ms;
        let since = |then: u64| now.uptime_ms.saturating_sub(then);
        if renewed_ms.is_none_or(|then| since(then) >= RENEWAL_PAUSE_MS) {
            *renewed_ms = Some(now.uptime_ms);
            steps.must_renew = true;
        }
    }

    /// Others come to know this origin up to that number.
    pub(super) fn advertise(&self, origin: Origin, number: u64) {
        if origin != self.replication_log.own().0 {
            return;
        }
        let advertised = &mut self.seen.lock().advertised;
        let before = if advertised.0 == origin {
            advertised.1
        } else {
            0
        };
        *advertised = (origin, before.max(number));
    }

    /// These origins ended. What they revoked stays.
    pub(super) fn end_origins(&self, forgotten: Vec<Origin>, steps: &mut Steps) {
        if forgotten.is_empty() {
            return;
        }
        self.replication_log.forget(&forgotten);
        steps.imports.push(Import::noting(Progress {
            forgotten,
            ..Progress::default()
        }));
    }
}
