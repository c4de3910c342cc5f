//! A session with a peer: its greeting, its messages and its end.

use std::net::SocketAddr;

use log::warn;

use super::state::{Mesh, NodeCertificates, PeerRoute, SeenNow};
use super::steps::{LinkId, Now, Steps};
use crate::cluster::protocol::discovery::NotAPeer;
use crate::cluster::protocol::frame::{
    CHAINS_MAX, Frame, Goodbye, Hello, InvalidFrame, Ping, VERSION,
};
use crate::cluster::protocol::membership::{Chain, IntroductionError, NamesOf};
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{LinkKind, PeerId, PeerSession};
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::revocation::{Import, NodeName, Origin, Progress};

/// Why a node is not taken for a peer: what it is told, and what the operator is.
struct HelloRefused(Goodbye, String);

impl Mesh {
    /// This node shows its certificate from now on, and verifies relayed ones with this function.
    pub(crate) fn show_certificates(&self, own: Chain, names_of: NamesOf) {
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        seen.nodes.examine(&names_of);
        seen.failure_detector
            .keep_real(|node| seen.nodes.is_real(node));
        seen.certificates = Some(NodeCertificates { own, names_of }.into());
    }

    /// A connection was made; this is said first.
    pub(crate) fn connect(
        &self,
        link: LinkId,
        is_dialed: bool,
        target: Option<SocketAddr>,
        names: Vec<NodeName>,
        now: Now,
    ) -> Frame {
        let session = PeerSession::new(is_dialed, target, names, now.uptime_ms);
        self.add_link(link, session);
        Frame::Hello(Hello {
            version: VERSION,
            node: self.name.clone(),
            origin: self.replication_log.own().0,
            ping: self.ping(now),
        })
    }

    /// A connection is gone.
    pub(crate) fn disconnect(&self, link: LinkId) -> Option<NodeName> {
        self.remove_link(link).map(|route| route.peer.node)
    }

    /// Handles a message of a peer.
    pub(crate) fn on_message(
        &self,
        link: LinkId,
        frame: Frame,
        now: Now,
    ) -> Result<Steps, InvalidFrame> {
        let Some(session) = self.session(link) else {
            return Ok(Steps::default());
        };
        let mut session = session.lock();
        if session.is_refused {
            return Ok(Steps::default());
        }
        session.last_message_ms = now.uptime_ms;
        let Some(peer) = session.peer.clone() else {
            let Frame::Hello(hello) = frame else {
                return Err(InvalidFrame("it sent a message before its greeting"));
            };
            return Ok(self.on_hello(link, &mut session, hello, now));
        };
        let mut steps = Steps::default();
        let answers = self.answers_to(frame, (link, &mut session, &peer), &mut steps, now)?;
        let answers = answers.into_iter().map(|frame| (link, frame));
        steps.frames.extend(answers);
        self.settle_reconciliation(link, &mut session, &peer, &mut steps);
        Ok(steps)
    }

    /// The answers to a message of a known peer.
    fn answers_to(
        &self,
        frame: Frame,
        (link, session, peer): (LinkId, &mut PeerSession, &PeerId),
        steps: &mut Steps,
        now: Now,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        Ok(match frame {
            Frame::Hello(_) => return Err(InvalidFrame("it sent a second greeting")),
            Frame::Ping(ping) => {
                steps.frames.extend(Self::answer(link, session, &ping, now));
                self.on_ping(session, peer, ping, steps, now)
            }
            Frame::Pong {
                asked_ms,
                stamp_ms,
                now_ms,
            } => {
                let here = (now.uptime_ms, now.wall_ms);
                session.on_pong(asked_ms, (stamp_ms, now_ms), here);
                Vec::new()
            }
            Frame::Delta {
                origin,
                first,
                at_ms,
                rows,
            } => {
                steps.pause_ms = self.pause_for(&mut session.budget, rows.len(), now);
                let delta = (origin, first, rows.as_slice());
                if origin == peer.origin {
                    if at_ms > 0 {
                        let at_ms = session.about(at_ms, now.uptime_ms);
                        steps.propagation_ms =
                            at_ms.and_then(|at_ms| self.propagation_ms(at_ms, now));
                    }
                    self.on_delta(session, delta, steps, now)
                } else {
                    self.on_relayed_delta(link, session, delta, steps, now)
                }
            }
            Frame::Unnumbered(rows) => {
                steps.pause_ms = self.pause_for(&mut session.budget, rows.len(), now);
                let import = self.apply_rows(&rows, now);
                self.pass_on(link, session, import.as_ref(), steps);
                steps.imports.extend(import);
                Vec::new()
            }
            Frame::Ack { origin, reached } => {
                steps.acked = Some((peer.node.clone(), origin, self.known_of(origin, reached)));
                Vec::new()
            }
            Frame::RequestRows { origin, after } => self.requested_rows(origin, after),
            Frame::CompareSets => {
                session.is_reconciliation_due = true;
                session.is_lacking = true;
                Vec::new()
            }
            Frame::Reconcile { number, step } => {
                self.on_reconcile_step(session, number, step, steps, now)?
            }
            Frame::Goodbye(why) => {
                self.on_goodbye(link, session, peer, why, steps, now);
                Vec::new()
            }
            Frame::Certificates(chains) => {
                self.on_certificates(link, session, chains, steps);
                Vec::new()
            }
        })
    }

    /// A peer shows certificates of nodes. Those that are new and valid are shown to the others.
    fn on_certificates(
        &self,
        link: LinkId,
        session: &mut PeerSession,
        chains: Vec<Chain>,
        steps: &mut Steps,
    ) {
        let Some(certificates) = self.seen.lock().certificates.clone() else {
            return;
        };
        let mut new = Vec::new();
        for chain in chains {
            let is_known = chain == certificates.own || self.seen.lock().nodes.has_chain(&chain);
            if is_known || session.certificates_left == 0 {
                continue;
            }
            session.certificates_left -= 1;
            let names = (certificates.names_of)(&chain);
            let seen = &mut *self.seen.lock();
            let mut is_new = false;
            for name in names {
                if name != self.name && !seen.rules.quarantine.contains(&name) {
                    is_new |= seen.nodes.certify(&name, &chain);
                }
            }
            if is_new {
                new.push(chain);
            }
        }
        if !new.is_empty() {
            for other in self.other_links(link) {
                steps.frames.push((other, Frame::Certificates(new.clone())));
            }
        }
    }

    /// The certificates that a peer is shown first.
    fn certificates_to_show(&self) -> Vec<Frame> {
        let seen = self.seen.lock();
        let Some(certificates) = &seen.certificates else {
            return Vec::new();
        };
        let mut chains = vec![certificates.own.clone()];
        chains.extend(seen.nodes.chains());
        drop(seen);
        let frames = chains.chunks(CHAINS_MAX);
        frames
            .map(|chains| Frame::Certificates(chains.to_vec()))
            .collect()
    }

    /// As much of an origin as there can be: of this node's own no more than it has revoked.
    fn known_of(&self, origin: Origin, reached: u64) -> u64 {
        let (own, last) = self.replication_log.own();
        if origin == own {
            reached.min(last)
        } else {
            reached
        }
    }

    /// The first message of a peer: its name must be in its certificate, and there is one connection to it.
    pub(super) fn on_hello(
        &self,
        link: LinkId,
        session: &mut PeerSession,
        hello: Hello,
        now: Now,
    ) -> Steps {
        let mut steps = Steps::default();
        session.is_refused = true;
        let is_admitted = self
            .check_identity(session, &hello, &mut steps, now)
            .and_then(|()| self.replace_link(session, &hello.node, &mut steps));
        if let Err(HelloRefused(goodbye, why)) = is_admitted {
            steps.frames.push((link, Frame::Goodbye(goodbye)));
            steps.closes.push((link, why));
            return steps;
        }
        let Hello {
            node, origin, ping, ..
        } = hello;
        let peer = PeerId {
            node: node.clone(),
            origin,
        };
        session.offset_ms = Some(difference(ping.now_ms, now.wall_ms));
        self.renew_if_behind(&ping.vector, &mut steps, now);
        let (own, last) = self.replication_log.own();
        let after = ping.vector.get(&own).map(|known| last.min(*known));
        steps.frames.extend(Self::answer(link, session, &ping, now));
        self.note_ping(session, ping);
        session.peer = Some(peer.clone());
        session.is_refused = false;
        let route = PeerRoute {
            peer,
            is_dialed: session.is_dialed,
            kind: session.kind,
        };
        self.set_route(link, Some(route));
        steps.joined = Some((link, node, after.unwrap_or_default()));
        let shown = self.certificates_to_show().into_iter();
        steps.frames.extend(shown.map(|frame| (link, frame)));
        steps
    }

    /// Whether a node may be a peer by its name and its origin. If so, it is known from now on.
    fn check_identity(
        &self,
        session: &PeerSession,
        hello: &Hello,
        steps: &mut Steps,
        now: Now,
    ) -> Result<(), HelloRefused> {
        let (node, origin) = (&hello.node, hello.origin);
        let quarantined = |why: String| Err(HelloRefused(Goodbye::Quarantine, why));
        if !session.names.is_empty() && !session.names.contains(node) {
            return quarantined(format!(
                "it calls itself {node}, and its certificate does not have that name"
            ));
        }
        let mut seen = self.seen.lock();
        seen.targets.found(session.target, node);
        if origin == self.replication_log.own().0 && *node != self.name {
            return quarantined(format!(
                "{node} has the same journal: a data folder was copied"
            ));
        }
        if origin == self.replication_log.own().0 {
            seen.targets.is_self(session.target);
            return Err(HelloRefused(Goodbye::Myself, "it is this node".to_owned()));
        }
        if *node == self.name {
            return quarantined(format!(
                "another node is called {node}, too: give every node its own name"
            ));
        }
        if seen.rules.quarantine.contains(node) {
            return quarantined(format!("{node} is in quarantine"));
        }
        if let Err(unfit) = self.introduce(&mut seen, node, origin, steps, now) {
            let why = match unfit {
                IntroductionError::Foreign => format!(
                    "{node} is an origin that was not made for it: update it, or its data folder was copied"
                ),
                IntroductionError::Crowded => {
                    format!("there is no room for {node}: too many nodes are there")
                }
            };
            warn!("a node was refused: {why}");
            return quarantined(why);
        }
        let is_by_bus = session.kind == LinkKind::Bus;
        seen.failure_detector.met(node, is_by_bus, now.uptime_ms);
        Ok(())
    }

    /// There is one connection to a node: this one, if it is better than the one that there is.
    fn replace_link(
        &self,
        session: &PeerSession,
        node: &NodeName,
        steps: &mut Steps,
    ) -> Result<(), HelloRefused> {
        let Some((other, route)) = self.link_to(node) else {
            return Ok(());
        };
        if !self.is_better(session, node, &route) {
            let why = "there is a connection already".to_owned();
            return Err(HelloRefused(Goodbye::Duplicate, why));
        }
        self.set_route(other, None);
        let goodbye = Frame::Goodbye(Goodbye::Duplicate);
        steps.frames.push((other, goodbye));
        let why = "there is another connection".to_owned();
        steps.closes.push((other, why));
        Ok(())
    }

    /// A connection is better than the bus. Of two connections between the same nodes the one counts that the
    /// lesser name dialed, and of two of those the newer one.
    fn is_better(&self, session: &PeerSession, node: &NodeName, other: &PeerRoute) -> bool {
        let dialer_is_lesser = |is_dialed: bool| is_dialed == (self.name < *node);
        if session.kind != other.kind {
            return other.kind == LinkKind::Bus;
        }
        dialer_is_lesser(session.is_dialed) || !dialer_is_lesser(other.is_dialed)
    }

    /// A node is this origin: its rows are counted from now on, also after a restart.
    fn introduce(
        &self,
        seen: &mut SeenNow,
        node: &NodeName,
        origin: Origin,
        steps: &mut Steps,
        now: Now,
    ) -> Result<(), IntroductionError> {
        let detector = &seen.failure_detector;
        let is_present = |node: &NodeName| detector.has(node);
        let change = seen
            .nodes
            .introduce(node, origin, is_present, now.uptime_ms)?;
        self.replication_log.introduce(origin);
        self.end_origins(change.forgotten, steps);
        if change.is_new {
            steps.imports.push(Import::noting(Progress {
                introduced: vec![(origin, node.to_string())],
                ..Progress::default()
            }));
        }
        Ok(())
    }

    /// Takes in a ping of the peer.
    pub(super) fn note_ping(&self, session: &mut PeerSession, ping: Ping) {
        let counted = self.replication_log.vector();
        session.on_ping(ping, self.replication_log.own().0, &counted);
        let mut origins = session.vector.keys();
        session.is_relay = origins.any(|origin| !counted.contains_key(origin));
    }

    /// The answer to a ping; none on the bus: every node reads all pings there, and its own tell it as much.
    fn answer(
        link: LinkId,
        session: &PeerSession,
        ping: &Ping,
        now: Now,
    ) -> Option<(LinkId, Frame)> {
        let answer = Frame::Pong {
            asked_ms: if ping.stamp_ms > 0 {
                ping.stamp_ms
            } else {
                ping.now_ms
            },
            stamp_ms: now.uptime_ms,
            now_ms: now.wall_ms,
        };
        (session.kind == LinkKind::Connection).then_some((link, answer))
    }

    /// A peer hangs up, and says why.
    fn on_goodbye(
        &self,
        link: LinkId,
        session: &mut PeerSession,
        peer: &PeerId,
        why: Goodbye,
        steps: &mut Steps,
        now: Now,
    ) {
        let mut seen = self.seen.lock();
        let why = match why {
            // What it could not send is unknown to all: it is missed like a node that fell silent.
            Goodbye::Leaving if session.is_lacking || self.lacks_rows_of(session, peer) => {
                "it stops, and not all that it knows is known here"
            }
            Goodbye::Leaving => {
                seen.failure_detector.left(&peer.node, now.uptime_ms);
                "it stops"
            }
            Goodbye::Duplicate => "there is another connection",
            Goodbye::Myself => {
                seen.targets.is_self(session.target);
                "it is this node"
            }
            Goodbye::Quarantine => "it has this node in quarantine",
        };
        steps.closes.push((link, why.to_owned()));
    }

    /// Other rules from now on. Peers that are in quarantine now are hung up on.
    pub(crate) fn reconfigure(&self, rules: ReadinessPolicy) -> Steps {
        let mut steps = Steps::default();
        let mut routes = self.routes();
        routes.retain(|(_, route)| rules.quarantine.contains(&route.peer.node));
        for (link, _) in routes {
            if let Some(session) = self.session(link) {
                session.lock().is_refused = true; // what it says until it is gone does not count
            }
            let goodbye = Frame::Goodbye(Goodbye::Quarantine);
            steps.frames.push((link, goodbye));
            steps.closes.push((link, "it is in quarantine".to_owned()));
        }
        let mut seen = self.seen.lock();
        seen.rules = rules;
        let ended = seen.forget_quarantined();
        drop(seen);
        if !ended.is_empty() {
            self.compare_with_all();
        }
        self.end_origins(ended, &mut steps);
        steps
    }

    /// Where other nodes are, and whether the names of some could not be looked up.
    pub(crate) fn set_targets(&self, addresses: &[SocketAddr], is_whole: bool, now: Now) {
        let mut seen = self.seen.lock();
        if seen.targets.set(addresses, is_whole) {
            let nodes = seen.targets.nodes();
            seen.failure_detector.keep(&nodes, now.uptime_ms);
        }
    }

    /// An address was dialed.
    pub(crate) fn tried(&self, address: SocketAddr) {
        self.seen.lock().targets.tried(address);
    }

    /// Whether an address is to be dialed: no connected node is known to be there.
    pub(crate) fn is_wanted(&self, address: SocketAddr) -> bool {
        let node = match self.seen.lock().targets.node_at(address) {
            Ok(node) => node,
            Err(NotAPeer) => return false,
        };
        node.is_none_or(|node| !self.is_connected_to(&node))
    }

    /// Whether the configuration names this address, and it is another node's.
    pub(crate) fn is_target(&self, address: SocketAddr) -> bool {
        self.seen.lock().targets.node_at(address).is_ok()
    }

    /// Whether there is a connection to this node.
    pub(crate) fn is_linked_to(&self, node: &NodeName) -> bool {
        self.link_to(node).is_some()
    }

    /// Whether there is a connection to a node, and not only the bus.
    pub(crate) fn is_connected_to(&self, node: &NodeName) -> bool {
        let routes = self.link_to(node);
        routes.is_some_and(|(_, route)| route.kind == LinkKind::Connection)
    }

    /// Whether a node is not in quarantine.
    pub(crate) fn listens_to(&self, node: &NodeName) -> bool {
        !self.seen.lock().rules.quarantine.contains(node)
    }
}
