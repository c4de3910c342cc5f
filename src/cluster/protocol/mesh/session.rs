//! A session with a peer: its greeting, its messages and its end.

use std::net::SocketAddr;

use log::warn;

use super::state::{Linked, Mesh, NodeCertificates, SeenNow};
use super::steps::{LinkId, Now, Steps};
use crate::cluster::protocol::discovery::Unwanted;
use crate::cluster::protocol::frame::{CHAINS_MAX, Frame, Garbled, Goodbye, Hello, Ping, VERSION};
use crate::cluster::protocol::membership::{Chain, NamesOf, Unfit};
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{Peer, Talk, Way};
use crate::cluster::protocol::readiness::Rules;
use crate::revocation::{Import, NodeName, Origin, Progress};

/// Why a node is not taken for a peer: what it is told, and what the operator is.
struct Refused(Goodbye, String);

impl Mesh {
    /// This node shows its certificate from now on, and believes those whose names these are.
    pub(crate) fn show_certificates(&self, own: Chain, names_of: NamesOf) {
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        seen.nodes.examine(&names_of);
        seen.members.keep_real(|node| seen.nodes.is_real(node));
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
        let talk = Talk::new(is_dialed, target, names, now.uptime_ms);
        self.add_link(link, talk);
        Frame::Hello(Hello {
            version: VERSION,
            node: self.name.clone(),
            origin: self.history.own().0,
            ping: self.ping(now),
        })
    }

    /// A connection is gone.
    pub(crate) fn disconnect(&self, link: LinkId) -> Option<NodeName> {
        self.remove_link(link).map(|linked| linked.peer.node)
    }

    /// A peer said something.
    pub(crate) fn on_message(
        &self,
        link: LinkId,
        frame: Frame,
        now: Now,
    ) -> Result<Steps, Garbled> {
        let Some(talk) = self.talk(link) else {
            return Ok(Steps::default());
        };
        let mut talk = talk.lock();
        if talk.is_refused {
            return Ok(Steps::default());
        }
        talk.heard_ms = now.uptime_ms;
        let Some(peer) = talk.peer.clone() else {
            let Frame::Hello(hello) = frame else {
                return Err(Garbled("it speaks before it says who it is"));
            };
            return Ok(self.on_hello(link, &mut talk, hello, now));
        };
        let mut steps = Steps::default();
        let answers = self.answers_to(frame, (link, &mut talk, &peer), &mut steps, now)?;
        let answers = answers.into_iter().map(|frame| (link, frame));
        steps.frames.extend(answers);
        self.settle_round(link, &mut talk, &peer, &mut steps);
        Ok(steps)
    }

    /// What is said in return to a message of a known peer.
    fn answers_to(
        &self,
        frame: Frame,
        (link, talk, peer): (LinkId, &mut Talk, &Peer),
        steps: &mut Steps,
        now: Now,
    ) -> Result<Vec<Frame>, Garbled> {
        let answers = match frame {
            Frame::Hello(_) => return Err(Garbled("it says twice who it is")),
            Frame::Ping(ping) => {
                steps.frames.extend(Self::answer(link, talk, &ping, now));
                self.on_ping(talk, peer, ping, steps, now)
            }
            Frame::Pong {
                asked_ms,
                stamp_ms,
                now_ms,
            } => {
                if stamp_ms > 0 {
                    let here = (now.uptime_ms, now.wall_ms);
                    talk.hear_answer(asked_ms, (stamp_ms, now_ms), here);
                }
                Vec::new()
            }
            Frame::Delta {
                origin,
                first,
                at_ms,
                rows,
            } => {
                steps.pause_ms = self.pause_for(&mut talk.bucket, rows.len(), now);
                let delta = (origin, first, rows.as_slice());
                if origin == peer.origin {
                    if at_ms > 0 {
                        let at_ms = talk.about(at_ms, now.uptime_ms);
                        steps.spread_ms = at_ms.and_then(|at_ms| self.spread_ms(at_ms, now));
                    }
                    self.on_delta(talk, delta, steps, now)
                } else {
                    self.on_relayed_delta(link, talk, delta, steps, now)
                }
            }
            Frame::Loose(rows) => {
                steps.pause_ms = self.pause_for(&mut talk.bucket, rows.len(), now);
                let import = self.take_in(&rows, now);
                self.pass_on(link, talk, import.as_ref(), steps);
                steps.imports.extend(import);
                Vec::new()
            }
            Frame::Ack { origin, reached } => {
                let (own, last) = self.history.own();
                let is_own = origin == own;
                let reached = if is_own { reached.min(last) } else { reached };
                steps.acked = Some((peer.node.clone(), origin, reached));
                Vec::new()
            }
            Frame::Want { origin, after } => self.rows_wanted(origin, after),
            Frame::Gone => {
                talk.is_round_due = true;
                talk.is_lacking = true;
                Vec::new()
            }
            Frame::Reconcile { number, step } => {
                return self.on_reconcile_step(talk, number, step, steps, now);
            }
            Frame::Goodbye(why) => {
                self.on_goodbye(link, talk, peer, why, steps, now);
                Vec::new()
            }
            Frame::Certificates(chains) => {
                self.on_certificates(link, talk, chains, steps);
                Vec::new()
            }
        };
        Ok(answers)
    }

    /// A peer shows certificates of nodes. Those that are new and valid are shown to the others.
    fn on_certificates(
        &self,
        link: LinkId,
        talk: &mut Talk,
        chains: Vec<Chain>,
        steps: &mut Steps,
    ) {
        let Some(certificates) = self.seen.lock().certificates.clone() else {
            return;
        };
        let mut new = Vec::new();
        for chain in chains {
            let is_known = chain == certificates.own || self.seen.lock().nodes.has_chain(&chain);
            if is_known || talk.chains_left == 0 {
                continue;
            }
            talk.chains_left -= 1;
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

    /// The first word of a peer: it is who its certificate says, and there is one connection to it.
    pub(super) fn on_hello(&self, link: LinkId, talk: &mut Talk, hello: Hello, now: Now) -> Steps {
        let mut steps = Steps::default();
        talk.is_refused = true;
        let is_admitted = self
            .check_identity(talk, &hello, &mut steps, now)
            .and_then(|()| self.replace_link(talk, &hello.node, &mut steps));
        if let Err(Refused(goodbye, why)) = is_admitted {
            steps.frames.push((link, Frame::Goodbye(goodbye)));
            steps.closes.push((link, why));
            return steps;
        }
        let Hello {
            node, origin, ping, ..
        } = hello;
        let peer = Peer {
            node: node.clone(),
            origin,
        };
        talk.offset_ms = Some(difference(ping.now_ms, now.wall_ms));
        self.renew_if_behind(&ping.vector, &mut steps, now);
        let (own, last) = self.history.own();
        let after = ping.vector.get(&own).map(|known| last.min(*known));
        steps.frames.extend(Self::answer(link, talk, &ping, now));
        self.note_ping(talk, ping);
        talk.peer = Some(peer.clone());
        talk.is_refused = false;
        let linked = Linked {
            peer,
            is_dialed: talk.is_dialed,
            way: talk.way,
        };
        self.lead(link, Some(linked));
        steps.joined = Some((link, node, after.unwrap_or_default()));
        let shown = self.certificates_to_show().into_iter();
        steps.frames.extend(shown.map(|frame| (link, frame)));
        steps
    }

    /// Whether a node may be a peer by its name and its origin. If so, it is known from now on.
    fn check_identity(
        &self,
        talk: &Talk,
        hello: &Hello,
        steps: &mut Steps,
        now: Now,
    ) -> Result<(), Refused> {
        let (node, origin) = (&hello.node, hello.origin);
        let quarantined = |why: String| Err(Refused(Goodbye::Quarantine, why));
        if !talk.names.is_empty() && !talk.names.contains(node) {
            return quarantined(format!(
                "it calls itself {node}, and its certificate does not bear that name"
            ));
        }
        let mut seen = self.seen.lock();
        seen.targets.found(talk.target, node);
        if origin == self.history.own().0 && *node != self.name {
            return quarantined(format!(
                "{node} has the same journal: a data folder was copied"
            ));
        }
        if origin == self.history.own().0 {
            seen.targets.is_self(talk.target);
            return Err(Refused(Goodbye::Myself, "it is this node".to_owned()));
        }
        if *node == self.name {
            return quarantined(format!(
                "another node calls itself {node}, too: give every node a name of its own"
            ));
        }
        if seen.rules.quarantine.contains(node) {
            return quarantined(format!("{node} is in quarantine"));
        }
        if let Err(unfit) = self.introduce(&mut seen, node, origin, steps, now) {
            let why = match unfit {
                Unfit::Foreign => format!(
                    "{node} is an origin that was not made for it: update it, or its data folder was copied"
                ),
                Unfit::Crowded => {
                    format!("there is no room for {node}: too many nodes are there")
                }
            };
            warn!("a node was refused: {why}");
            return quarantined(why);
        }
        let is_by_bus = talk.way == Way::Bus;
        seen.members.met(node, is_by_bus, now.uptime_ms);
        Ok(())
    }

    /// There is one connection to a node: this one, if it is better than the one that there is.
    fn replace_link(&self, talk: &Talk, node: &NodeName, steps: &mut Steps) -> Result<(), Refused> {
        let Some((other, linked)) = self.link_to(node) else {
            return Ok(());
        };
        if !self.is_better(talk, node, &linked) {
            let why = "there is a connection already".to_owned();
            return Err(Refused(Goodbye::Duplicate, why));
        }
        self.lead(other, None);
        let goodbye = Frame::Goodbye(Goodbye::Duplicate);
        steps.frames.push((other, goodbye));
        let why = "there is another connection".to_owned();
        steps.closes.push((other, why));
        Ok(())
    }

    /// A connection is better than the bus. Of two connections between the same nodes the one counts that the
    /// lesser name dialed, and of two of those the newer one.
    fn is_better(&self, talk: &Talk, node: &NodeName, other: &Linked) -> bool {
        let dialer_is_lesser = |is_dialed: bool| is_dialed == (self.name < *node);
        if talk.way != other.way {
            return other.way == Way::Bus;
        }
        dialer_is_lesser(talk.is_dialed) || !dialer_is_lesser(other.is_dialed)
    }

    /// A node is this origin: its rows are counted from now on, also after a restart.
    fn introduce(
        &self,
        seen: &mut SeenNow,
        node: &NodeName,
        origin: Origin,
        steps: &mut Steps,
        now: Now,
    ) -> Result<(), Unfit> {
        let members = &seen.members;
        let is_present = |node: &NodeName| members.has(node);
        let change = seen
            .nodes
            .introduce(node, origin, is_present, now.uptime_ms)?;
        self.history.introduce(origin);
        self.count_no_more(change.forgotten, steps);
        if change.is_new {
            steps.imports.push(Import::noting(Progress {
                introduced: vec![(origin, node.to_string())],
                ..Progress::default()
            }));
        }
        Ok(())
    }

    /// The peer says where it stands.
    pub(super) fn note_ping(&self, talk: &mut Talk, ping: Ping) {
        let counted = self.history.vector();
        talk.hear(ping, self.history.own().0, &counted);
        let mut origins = talk.vector.keys();
        talk.is_between = origins.any(|origin| !counted.contains_key(origin));
    }

    /// What is answered to a ping; nothing on the bus: everybody hears everybody's pings there, and its own tell it as
    /// much.
    fn answer(link: LinkId, talk: &Talk, ping: &Ping, now: Now) -> Option<(LinkId, Frame)> {
        let answer = Frame::Pong {
            asked_ms: if ping.stamp_ms > 0 {
                ping.stamp_ms
            } else {
                ping.now_ms
            },
            stamp_ms: now.uptime_ms,
            now_ms: now.wall_ms,
        };
        (talk.way == Way::Connection).then_some((link, answer))
    }

    /// A peer hangs up, and says why.
    fn on_goodbye(
        &self,
        link: LinkId,
        talk: &mut Talk,
        peer: &Peer,
        why: Goodbye,
        steps: &mut Steps,
        now: Now,
    ) {
        let mut seen = self.seen.lock();
        let why = match why {
            // What it could not tell is known to nobody: it is missed like one that said nothing.
            Goodbye::Leaving if talk.is_lacking || self.lacks_words_of(talk, peer) => {
                "it stops, and not all that it knows is known here"
            }
            Goodbye::Leaving => {
                seen.members.left(&peer.node, now.uptime_ms);
                "it stops"
            }
            Goodbye::Duplicate => "there is another connection",
            Goodbye::Myself => {
                seen.targets.is_self(talk.target);
                "it is this node"
            }
            Goodbye::Quarantine => "it does not want to hear us",
        };
        steps.closes.push((link, why.to_owned()));
    }

    /// Other rules from now on. Peers that are in quarantine now are hung up on.
    pub(crate) fn reconfigure(&self, rules: Rules) -> Steps {
        let mut steps = Steps::default();
        let mut linked = self.linked();
        linked.retain(|(_, linked)| rules.quarantine.contains(&linked.peer.node));
        for (link, _) in linked {
            if let Some(talk) = self.talk(link) {
                talk.lock().is_refused = true; // what it says until it is gone does not count
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
        self.count_no_more(ended, &mut steps);
        steps
    }

    /// Where other nodes are, and whether the names of some could not be looked up.
    pub(crate) fn set_targets(&self, addresses: &[SocketAddr], is_whole: bool, now: Now) {
        let mut seen = self.seen.lock();
        if seen.targets.set(addresses, is_whole) {
            let nodes = seen.targets.nodes();
            seen.members.keep(&nodes, now.uptime_ms);
        }
    }

    /// An address was dialed.
    pub(crate) fn tried(&self, address: SocketAddr) {
        self.seen.lock().targets.tried(address);
    }

    /// Whether an address is to be dialed: nobody is known to be there who is connected.
    pub(crate) fn is_wanted(&self, address: SocketAddr) -> bool {
        let node = match self.seen.lock().targets.node_at(address) {
            Ok(node) => node,
            Err(Unwanted) => return false,
        };
        node.is_none_or(|node| !self.is_connected_to(&node))
    }

    /// Whether the configuration names this address, and somebody else is there.
    pub(crate) fn is_target(&self, address: SocketAddr) -> bool {
        self.seen.lock().targets.node_at(address).is_ok()
    }

    /// Whether there is a connection to this node.
    pub(crate) fn is_linked_to(&self, node: &NodeName) -> bool {
        self.link_to(node).is_some()
    }

    /// Whether there is a connection to a node, and not only the bus.
    pub(crate) fn is_connected_to(&self, node: &NodeName) -> bool {
        let linked = self.link_to(node);
        linked.is_some_and(|(_, linked)| linked.way == Way::Connection)
    }

    /// Whether a node is not in quarantine.
    pub(crate) fn listens_to(&self, node: &NodeName) -> bool {
        !self.seen.lock().rules.quarantine.contains(node)
    }
}
