//! What a node does with what others say: no socket, no clock and no disk, so that it can be played through.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::warn;
use parking_lot::Mutex;

use super::bus_health::Listening;
use super::counters::Exchanged;
use super::discovery::{Targets, Unwanted};
use super::failure_detector::{Members, SILENCE_MAX_MS};
use super::frame::{CHAINS_MAX, Frame, Garbled, Goodbye, Heard, Hello, Ping, ROWS_MAX, VERSION};
use super::limits::Admission;
use super::membership::{Chain, NamesOf, Nodes, Unfit};
use super::peer_clock::difference;
use super::peer_session::{Bucket, CaughtUp, Peer, Talk, Way};
use super::readiness::{Readiness, Rules, SKEW_WARNING_MS, median};
use super::reconciliation::Round;
use crate::clock::UnixTime;
use crate::revocation::{
    Found, History, Import, NodeName, Origin, Progress, Received, Row, Section, Set, Summary,
    Vector, item_of,
};

/// A connection's number in this process.
pub(crate) type LinkId = u64;

/// How many rows are sent at once to who lacks them; whoever lacks more asks again.
const WANTED_MAX: usize = 16 * ROWS_MAX;

/// How many origins a peer is asked for at once.
const WANTS_MAX: usize = 64;

/// How long after it became another origin a node becomes one again at the earliest: an older copy of a journal is found
/// once, and a peer that repeats it causes no work.
const RENEWAL_PAUSE_MS: u64 = 60_000;

/// What both clocks of this machine say, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since some moment; it never goes back, and it goes on while the machine sleeps.
    pub(crate) uptime_ms: u64,
    /// Since the epoch.
    pub(crate) wall_ms: u64,
}

impl Now {
    pub(crate) fn wall(self) -> UnixTime {
        UnixTime::from_seconds(self.wall_ms / 1_000)
    }
}

/// What is to be done about what was said.
#[derive(Default)]
pub(crate) struct Steps {
    /// To be sent, in this order.
    pub(crate) frames: Vec<(LinkId, Frame)>,
    /// To be hung up on, after the frames.
    pub(crate) closes: Vec<(LinkId, String)>,
    /// To be written; it is in force already.
    pub(crate) imports: Vec<Import>,
    /// This peer is there; one's own rows after that number are sent to it.
    pub(crate) joined: Option<(LinkId, NodeName, u64)>,
    /// Somebody has one's own rows up to this number.
    pub(crate) acked: Option<(NodeName, Origin, u64)>,
    /// This node's numbers can't be relied upon: it is to be another origin.
    pub(crate) must_renew: bool,
    /// For how long this link is not to be read, in milliseconds.
    pub(crate) pause_ms: u64,
    /// How long what has come took from the disk of the node that took it, in milliseconds.
    pub(crate) spread_ms: Option<u64>,
}

/// This node among others.
pub(crate) struct Mesh {
    pub(crate) name: NodeName,
    pub(crate) set: Arc<Set>,
    pub(crate) history: Arc<History>,
    pub(crate) exchanged: Arc<Exchanged>,
    pub(crate) admission: Admission,
    /// Locked one after the other, never within each other but for `links`' entries, which may lock the two below.
    links: Mutex<BTreeMap<LinkId, Arc<Mutex<Talk>>>>,
    peers: Mutex<BTreeMap<LinkId, Linked>>,
    seen: Mutex<SeenNow>,
    /// Up to which number others can know of an origin that this node is: it was there at the start, or was told since.
    told: Mutex<(Origin, u64)>,
    /// When this node was last told to be another origin.
    renewed_ms: Mutex<Option<u64>>,
    /// `None`: nodes have no certificates.
    certificates: Mutex<Option<Arc<Certificates>>>,
}

/// This node's certificate, and what those of others are examined by.
struct Certificates {
    own: Chain,
    names_of: NamesOf,
}

/// Whom a connection leads to.
#[derive(Clone)]
struct Linked {
    peer: Peer,
    is_dialed: bool,
    way: Way,
}

/// What decides where this node stands.
struct SeenNow {
    members: Members,
    nodes: Nodes,
    targets: Targets,
    rules: Rules,
    readiness: Readiness,
    /// `None`: there is no bus.
    bus: Option<Listening>,
    ticked_ms: u64,
    /// How far the wall clock was ahead of the uptime when it was last set.
    wall_ahead_ms: i64,
}

impl SeenNow {
    /// Nothing is left of a node in quarantine but what it revoked; the origins that are counted no more.
    fn forget_quarantined(&mut self) -> Vec<Origin> {
        let nodes = &mut self.nodes;
        let quarantine = self.rules.quarantine.iter();
        let known: Vec<_> = quarantine.filter(|node| nodes.is_real(node)).collect();
        if known.is_empty() {
            return Vec::new();
        }
        let ended = known.into_iter().flat_map(|node| nodes.forget(node));
        let ended = ended.collect();
        self.members.keep_real(|node| nodes.is_real(node));
        ended
    }

    fn hear_of(&mut self, heard: &[Heard], own: &NodeName, said_ms: u64, now_ms: u64) {
        let is_awaited = !self.targets.are_found();
        let nodes = &self.nodes;
        let is_real = |node: &NodeName| node != own && nodes.is_real(node);
        let members = &mut self.members;
        members.told(heard, is_real, is_awaited, said_ms, now_ms);
    }
}

impl Mesh {
    pub(crate) fn new(
        name: NodeName,
        set: Arc<Set>,
        history: Arc<History>,
        rules: Rules,
        is_complete: bool,
        now: Now,
    ) -> Self {
        let exchanged = Arc::new(Exchanged::default());
        let told = Mutex::new(history.own());
        Self {
            told,
            renewed_ms: Mutex::default(),
            certificates: Mutex::default(),
            name,
            set,
            history,
            admission: Admission::new(Arc::clone(&exchanged)),
            exchanged,
            links: Mutex::default(),
            peers: Mutex::default(),
            seen: Mutex::new(SeenNow {
                members: Members::default(),
                nodes: Nodes::default(),
                targets: Targets::default(),
                rules,
                readiness: Readiness::at_start(is_complete, now.uptime_ms),
                bus: None,
                ticked_ms: now.uptime_ms,
                wall_ahead_ms: difference(now.wall_ms, now.uptime_ms),
            }),
        }
    }

    /// The nodes of which the journal says that they introduced themselves, and as which origins.
    pub(crate) fn remember<'a>(
        &self,
        introduced: impl IntoIterator<Item = (&'a Origin, &'a String)>,
        now: Now,
    ) {
        let nodes = Nodes::of_journal(introduced, now.uptime_ms);
        let counted = self.history.vector();
        let nameless = counted.keys().filter(|of| nodes.owner(of).is_none());
        self.history.forget(&nameless.copied().collect::<Vec<_>>());
        self.seen.lock().nodes = nodes;
    }

    /// This node shows its certificate from now on, and believes those whose names these are.
    pub(crate) fn show_certificates(&self, own: Chain, names_of: NamesOf) {
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        seen.nodes.examine(&names_of);
        seen.members.keep_real(|node| seen.nodes.is_real(node));
        let certificates = Certificates { own, names_of };
        *self.certificates.lock() = Some(certificates.into());
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
        self.links.lock().insert(link, Arc::new(Mutex::new(talk)));
        Frame::Hello(Hello {
            version: VERSION,
            node: self.name.clone(),
            origin: self.history.own().0,
            ping: self.ping(now),
        })
    }

    /// A connection is gone.
    pub(crate) fn disconnect(&self, link: LinkId) -> Option<NodeName> {
        self.links.lock().remove(&link);
        let linked = self.peers.lock().remove(&link)?;
        Some(linked.peer.node)
    }

    /// The rows of one's own after a number, to be sent; `Gone`, when they are not kept any more.
    pub(crate) fn delta_after(&self, origin: Origin, after: u64) -> Frame {
        match self.history.rows_after(&origin, after, ROWS_MAX) {
            Some(rows) => {
                let at_ms = self.history.on_disk_ms(origin, after + 1);
                self.tell(origin, after + rows.len() as u64);
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
            None => Frame::Gone,
        }
    }

    /// A peer said something.
    #[expect(clippy::too_many_lines, reason = "a table: one row a frame")]
    pub(crate) fn receive(&self, link: LinkId, frame: Frame, now: Now) -> Result<Steps, Garbled> {
        let Some(talk) = self.links.lock().get(&link).cloned() else {
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
            return Ok(self.greet(link, &mut talk, hello, now));
        };
        let mut steps = Steps::default();
        let frames = match frame {
            Frame::Hello(_) => return Err(Garbled("it says twice who it is")),
            Frame::Ping(ping) => {
                steps.frames.extend(Self::answer(link, &talk, &ping, now));
                self.ping_came(&mut talk, &peer, ping, &mut steps, now)
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
                    self.delta_came(&mut talk, delta, &mut steps, now)
                } else {
                    self.relayed_delta_came(link, &mut talk, delta, &mut steps, now)
                }
            }
            Frame::Loose(rows) => {
                steps.pause_ms = self.pause_for(&mut talk.bucket, rows.len(), now);
                let import = self.take_in(&rows, now);
                self.pass_on(link, &talk, import.as_ref(), &mut steps);
                steps.imports.extend(import);
                Vec::new()
            }
            Frame::Ack { origin, reached } => {
                let (own, last) = self.history.own();
                let reached = if origin == own {
                    reached.min(last)
                } else {
                    reached
                };
                steps.acked = Some((peer.node.clone(), origin, reached));
                Vec::new()
            }
            Frame::Want { origin, after } => self.wanted(origin, after),
            Frame::Gone => {
                talk.is_round_due = true;
                talk.is_lacking = true;
                Vec::new()
            }
            Frame::Digests {
                round,
                beyond,
                summaries,
            } => {
                self.keep_windows(&summaries, now);
                let vector = self.history.vector();
                let (own, _) = self.history.own();
                self.tell(own, vector.get(&own).copied().unwrap_or_default());
                let answering = &mut talk.answering;
                vec![answering.compare(round, beyond, &summaries, vector, &self.set)]
            }
            Frame::Differ {
                round,
                vector,
                summaries,
            } => {
                self.keep_windows(&summaries, now);
                if !summaries.is_empty() {
                    self.exchanged.repairs.fetch_add(1, Ordering::Relaxed);
                }
                match talk.our_round(round) {
                    Some(round) => round.differ(vector, summaries, &self.set)?,
                    None => Vec::new(),
                }
            }
            Frame::Take { round, section } => talk.answering.take(round, section, &self.set),
            Frame::Fetch {
                round,
                section,
                items,
            } => talk.answering.fetch(round, section, &items, &self.set),
            Frame::Reconcile {
                round,
                section,
                message,
            } => {
                if talk.is_our_round(round) {
                    match talk.our_round(round) {
                        Some(round) => round.reconcile(section, &message, &self.set)?,
                        None => Vec::new(),
                    }
                } else {
                    let answering = &mut talk.answering;
                    vec![answering.reconcile(round, section, &message, &self.set)?]
                }
            }
            Frame::Rows {
                round,
                section,
                rows,
                is_last,
            } => {
                steps.pause_ms = self.pause_for(&mut talk.bucket, rows.len(), now);
                let import = self.take_in(&rows, now);
                talk.has_news |= import.is_some();
                steps.imports.extend(import);
                let items: Vec<_> = rows
                    .iter()
                    .filter_map(Row::revocation)
                    .map(|one| item_of(&one))
                    .collect();
                match talk.our_round(round) {
                    Some(round) => round.rows(section, items.into_iter(), is_last, &self.set)?,
                    None => Vec::new(),
                }
            }
            Frame::Goodbye(why) => self.farewell(link, &mut talk, &peer, why, &mut steps, now),
            Frame::Certificates(chains) => {
                self.certificates_came(link, &mut talk, chains, &mut steps);
                Vec::new()
            }
        };
        steps
            .frames
            .extend(frames.into_iter().map(|frame| (link, frame)));
        self.settle_round(link, &mut talk, &peer, &mut steps);
        Ok(steps)
    }

    /// A comparison that is over: what either knew both know now. Of an origin's numbers its own node alone is believed.
    fn settle_round(&self, link: LinkId, talk: &mut Talk, peer: &Peer, steps: &mut Steps) {
        let Some(vector) = talk.round.as_ref().and_then(Round::agreed).cloned() else {
            return;
        };
        let Some(round) = talk.round.take() else {
            return;
        };
        talk.is_lacking &= talk.is_round_due;
        talk.agreed_ms = Some(round.began_ms);
        talk.agreed_with = round.peer_state;
        let mut seen = self.seen.lock();
        seen.members.compared(&round.spoken_for, round.began_ms);
        let is_settled = seen.readiness.is_settled();
        drop(seen);
        talk.compared(&vector);
        let reached = vector.get(&peer.origin).copied().unwrap_or_default();
        if self.history.adopt(peer.origin, reached) {
            steps.imports.push(Import::noting(Progress {
                reached: vec![(peer.origin, reached)],
                ..Progress::default()
            }));
        }
        let has_news = std::mem::take(&mut talk.has_news);
        if has_news && talk.is_between && is_settled {
            let others = self.other_links(link).into_iter();
            steps
                .frames
                .extend(others.map(|other| (other, Frame::Gone)));
        }
    }

    /// What is news from a peer that is between us and others is said to every other node here, once: no other may bring it
    /// to them.
    fn pass_on(&self, link: LinkId, talk: &Talk, import: Option<&Import>, steps: &mut Steps) {
        let Some(import) = import.filter(|_| talk.is_between) else {
            return;
        };
        let rows: Vec<_> = import.revocations.iter().map(Row::of).collect();
        for other in self.other_links(link) {
            let sent = rows.len() as u64;
            self.exchanged.sent.fetch_add(sent, Ordering::Relaxed);
            steps.frames.push((other, Frame::Loose(rows.clone())));
        }
    }

    fn other_links(&self, link: LinkId) -> Vec<LinkId> {
        let peers = self.peers.lock();
        peers.keys().copied().filter(|one| *one != link).collect()
    }

    /// A peer shows certificates of nodes. Those that are new and valid are shown to the others.
    fn certificates_came(
        &self,
        link: LinkId,
        talk: &mut Talk,
        chains: Vec<Chain>,
        steps: &mut Steps,
    ) {
        let Some(certificates) = self.certificates.lock().clone() else {
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
        let Some(certificates) = self.certificates.lock().clone() else {
            return Vec::new();
        };
        let mut chains = vec![certificates.own.clone()];
        chains.extend(self.seen.lock().nodes.chains());
        let frames = chains.chunks(CHAINS_MAX);
        frames
            .map(|chains| Frame::Certificates(chains.to_vec()))
            .collect()
    }

    /// The first word of a peer: it is who its certificate says, and there is one connection to it.
    fn greet(&self, link: LinkId, talk: &mut Talk, hello: Hello, now: Now) -> Steps {
        let mut steps = Steps::default();
        talk.is_refused = true;
        let refuse = |steps: &mut Steps, goodbye, why: String| {
            steps.frames.push((link, Frame::Goodbye(goodbye)));
            steps.closes.push((link, why));
        };
        let Hello {
            node, origin, ping, ..
        } = hello;
        if !talk.names.is_empty() && !talk.names.contains(&node) {
            let why =
                format!("it calls itself {node}, and its certificate does not bear that name");
            refuse(&mut steps, Goodbye::Quarantine, why);
            return steps;
        }
        let mut seen = self.seen.lock();
        seen.targets.found(talk.target, &node);
        if origin == self.history.own().0 && node != self.name {
            let why = format!("{node} has the same journal: a data folder was copied");
            refuse(&mut steps, Goodbye::Quarantine, why);
            return steps;
        }
        if origin == self.history.own().0 {
            seen.targets.is_self(talk.target);
            refuse(&mut steps, Goodbye::Myself, "it is this node".to_owned());
            return steps;
        }
        if node == self.name {
            let why =
                format!("another node calls itself {node}, too: give every node a name of its own");
            refuse(&mut steps, Goodbye::Quarantine, why);
            return steps;
        }
        if seen.rules.quarantine.contains(&node) {
            refuse(
                &mut steps,
                Goodbye::Quarantine,
                format!("{node} is in quarantine"),
            );
            return steps;
        }
        if let Err(unfit) = self.introduce(&mut seen, &node, origin, &mut steps, now) {
            let why = match unfit {
                Unfit::Foreign => {
                    format!(
                        "{node} is an origin that was not made for it: update it, or its data folder was copied"
                    )
                }
                Unfit::Crowded => {
                    format!("there is no room for {node}: too many nodes are there")
                }
            };
            warn!("a node was refused: {why}");
            refuse(&mut steps, Goodbye::Quarantine, why);
            return steps;
        }
        let is_by_bus = talk.way == Way::Bus;
        seen.members.met(&node, is_by_bus, now.uptime_ms);
        drop(seen);
        let peer = Peer {
            node: node.clone(),
            origin,
        };
        if let Some(other) = self.link_to(&node) {
            if self.is_better(talk, &node, other) {
                self.peers.lock().remove(&other);
                steps
                    .frames
                    .push((other, Frame::Goodbye(Goodbye::Duplicate)));
                steps
                    .closes
                    .push((other, "there is another connection".to_owned()));
            } else {
                let why = "there is a connection already".to_owned();
                refuse(&mut steps, Goodbye::Duplicate, why);
                return steps;
            }
        }
        talk.offset_ms = Some(difference(ping.now_ms, now.wall_ms));
        self.renew_if_behind(&ping.vector, &mut steps, now);
        let (own, last) = self.history.own();
        let after = ping.vector.get(&own).map(|known| last.min(*known));
        steps.frames.extend(Self::answer(link, talk, &ping, now));
        self.hear(talk, ping);
        talk.peer = Some(peer.clone());
        talk.is_refused = false;
        let linked = Linked {
            peer,
            is_dialed: talk.is_dialed,
            way: talk.way,
        };
        self.peers.lock().insert(link, linked);
        steps.joined = Some((link, node, after.unwrap_or_default()));
        let shown = self.certificates_to_show().into_iter();
        steps.frames.extend(shown.map(|frame| (link, frame)));
        steps
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

    /// These origins ended. What they revoked stays.
    fn count_no_more(&self, forgotten: Vec<Origin>, steps: &mut Steps) {
        if forgotten.is_empty() {
            return;
        }
        self.history.forget(&forgotten);
        steps.imports.push(Import::noting(Progress {
            forgotten,
            ..Progress::default()
        }));
    }

    /// The peer says where it stands.
    fn hear(&self, talk: &mut Talk, ping: Ping) {
        let counted = self.history.vector();
        talk.hear(ping, self.history.own().0, &counted);
        let mut origins = talk.vector.keys();
        talk.is_between = origins.any(|origin| !counted.contains_key(origin));
    }

    /// A connection is better than the bus. Of two connections between the same nodes the one counts that the
    /// lesser name dialed, and of two of those the newer one.
    fn is_better(&self, talk: &Talk, node: &NodeName, other: LinkId) -> bool {
        let dialer_is_lesser = |is_dialed: bool| is_dialed == (self.name < *node);
        let peers = self.peers.lock();
        let Some(other) = peers.get(&other) else {
            return true;
        };
        if talk.way != other.way {
            return other.way == Way::Bus;
        }
        dialer_is_lesser(talk.is_dialed) || !dialer_is_lesser(other.is_dialed)
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

    /// How long something took that happened then, if that counts: what was done before this node knew everything
    /// took as long as that did.
    fn spread_ms(&self, at_ms: u64, now: Now) -> Option<u64> {
        let ready_ms = self.seen.lock().readiness.settled_ms()?;
        (at_ms >= ready_ms).then(|| now.uptime_ms.saturating_sub(at_ms))
    }

    fn link_to(&self, node: &NodeName) -> Option<LinkId> {
        let peers = self.peers.lock();
        let mut of_node = peers.iter().filter(|(_, linked)| linked.peer.node == *node);
        of_node.next().map(|(link, _)| *link)
    }

    /// Somebody knows numbers of this node's that it has told nobody: its journal is an older copy. What it numbers
    /// from now on must not be taken for what it numbered then.
    fn renew_if_behind(&self, vector: &Vector, steps: &mut Steps, now: Now) {
        let (origin, _) = self.history.own();
        let told = *self.told.lock();
        let told = if told.0 == origin { told.1 } else { 0 };
        if vector.get(&origin).is_some_and(|known| *known > told) {
            self.order_renewal(steps, now);
        }
    }

    /// This node is to be another origin, unless it became one just now.
    fn order_renewal(&self, steps: &mut Steps, now: Now) {
        let mut renewed_ms = self.renewed_ms.lock();
        let since = |then: u64| now.uptime_ms.saturating_sub(then);
        if renewed_ms.is_none_or(|then| since(then) >= RENEWAL_PAUSE_MS) {
            *renewed_ms = Some(now.uptime_ms);
            steps.must_renew = true;
        }
    }

    /// Others come to know this origin up to that number.
    fn tell(&self, origin: Origin, number: u64) {
        if origin != self.history.own().0 {
            return;
        }
        let mut told = self.told.lock();
        let before = if told.0 == origin { told.1 } else { 0 };
        *told = (origin, before.max(number));
    }

    fn ping_came(
        &self,
        talk: &mut Talk,
        peer: &Peer,
        ping: Ping,
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        self.renew_if_behind(&ping.vector, steps, now);
        if talk.way == Way::Bus {
            talk.offset_ms = Some(difference(ping.now_ms, now.wall_ms));
        }
        self.hear(talk, ping);
        self.ask_for_missing(talk, peer, now)
    }

    /// What the peer knew a second ago, and is not here yet.
    fn ask_for_missing(&self, talk: &mut Talk, peer: &Peer, now: Now) -> Vec<Frame> {
        if talk.round.is_some() {
            return Vec::new(); // a comparison finds it, too
        }
        let own = self.history.own().0;
        let counted = self.history.vector();
        let mut frames = Vec::new();
        for (origin, there) in &talk.vector.clone() {
            if frames.len() >= WANTS_MAX {
                break; // the rest is asked for a second later
            }
            let here = match counted.get(origin) {
                Some(reached) => talk.relayed(origin).max(*reached),
                None if talk.is_compared => talk.relayed(origin),
                None => {
                    talk.is_round_due = true;
                    continue;
                }
            };
            let is_direct = *origin != peer.origin && self.is_linked(origin);
            let there = if is_direct || *origin == peer.origin {
                talk.older_vector.get(origin).copied().unwrap_or_default()
            } else {
                *there
            };
            if *origin != own && there > here {
                frames.extend(talk.want(*origin, here, now.uptime_ms));
            }
        }
        let asked = frames.len() as u64;
        self.exchanged.ranges.fetch_add(asked, Ordering::Relaxed);
        frames
    }

    /// Whether an origin tells us itself.
    fn is_linked(&self, origin: &Origin) -> bool {
        let peers = self.peers.lock();
        peers.values().any(|linked| linked.peer.origin == *origin)
    }

    /// Rows that the peer revoked itself.
    fn delta_came(
        &self,
        talk: &mut Talk,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        let before = self.history.reached(&origin);
        let received = self.count_in((origin, first, rows), steps, now);
        if self.history.reached(&origin) == before {
            steps.spread_ms = None; // it was known
        }
        match received {
            Some(Received::Reached(reached)) => vec![Frame::Ack { origin, reached }],
            None => Vec::new(),
            Some(Received::Gap(reached)) => {
                let want = talk.want(origin, reached, now.uptime_ms);
                self.exchanged.ranges.fetch_add(1, Ordering::Relaxed);
                want.into_iter().collect()
            }
        }
    }

    /// Rows that another node revoked. They are taken if they were asked for, and counted for this connection only: what
    /// a peer says of the numbers of others binds no other node.
    fn relayed_delta_came(
        &self,
        link: LinkId,
        talk: &mut Talk,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
        if !talk.has_asked_for(&origin) {
            self.exchanged.foreign.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut talk.is_foreign_noted, true)
                && let Some(peer) = &talk.peer
            {
                let peer = &peer.node;
                warn!(peer:%; "a peer speaks for an origin that is not its own; what it says is left out");
            }
            return Vec::new();
        }
        let reached = talk.relayed(&origin).max(self.history.reached(&origin));
        if first > reached + 1 {
            self.exchanged.ranges.fetch_add(1, Ordering::Relaxed);
            let want = talk.want(origin, reached, now.uptime_ms);
            return want.into_iter().collect();
        }
        let last = first.saturating_add(rows.len() as u64).saturating_sub(1);
        talk.relays(origin, last.max(reached));
        let import = self.take_in(rows, now);
        self.pass_on(link, talk, import.as_ref(), steps);
        steps.imports.extend(import);
        Vec::new()
    }

    /// Takes in numbered rows; `None`: they are this node's own, or their origin was not introduced.
    fn count_in(
        &self,
        (origin, first, rows): (Origin, u64, &[Row]),
        steps: &mut Steps,
        now: Now,
    ) -> Option<Received> {
        let mut import = self.take_in(rows, now).unwrap_or_default();
        if origin == self.history.own().0 {
            steps.imports.push(import);
            return None;
        }
        let before = self.history.reached(&origin);
        let received = self.history.receive(origin, first, rows);
        if let Some(Received::Reached(reached)) = received
            && reached > before
        {
            import.progress.reached.push((origin, reached));
        }
        steps.imports.push(import);
        received
    }

    /// Puts rows in force, as far as a node may say what they say. What was news is to be written.
    fn take_in(&self, rows: &[Row], now: Now) -> Option<Import> {
        let received = rows.len() as u64;
        self.exchanged
            .received
            .fetch_add(received, Ordering::Relaxed);
        let mut news = Vec::new();
        for revocation in rows.iter().filter_map(Row::revocation) {
            let revocation = self.admission.admit(revocation, now.wall());
            if self.set.admits(&revocation) && self.set.insert(&revocation, now.wall()) {
                news.push(revocation);
            }
        }
        (!news.is_empty()).then(|| Import {
            revocations: news,
            progress: Progress::default(),
        })
    }

    fn keep_windows(&self, summaries: &[Summary], now: Now) {
        for summary in summaries {
            if let Section::Window(window) = summary.section {
                let until = self.admission.until(summary.until, now.wall());
                self.set.keep_window(window, until, now.wall());
            }
        }
    }

    fn pause_for(&self, bucket: &mut Bucket, rows: usize, now: Now) -> u64 {
        let pause_ms = bucket.take(rows as u64, now.uptime_ms);
        let is_throttled = pause_ms > 0 && self.seen.lock().readiness.is_settled();
        if is_throttled {
            self.exchanged.throttled.fetch_add(1, Ordering::Relaxed);
            pause_ms.min(SILENCE_MAX_MS / 5)
        } else {
            0
        }
    }

    fn wanted(&self, origin: Origin, after: u64) -> Vec<Frame> {
        let Some(rows) = self.history.rows_after(&origin, after, WANTED_MAX) else {
            return vec![Frame::Gone];
        };
        self.tell(origin, after + rows.len() as u64);
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

    fn farewell(
        &self,
        link: LinkId,
        talk: &mut Talk,
        peer: &Peer,
        why: Goodbye,
        steps: &mut Steps,
        now: Now,
    ) -> Vec<Frame> {
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
        Vec::new()
    }

    /// What this node says of itself.
    pub(crate) fn ping(&self, now: Now) -> Ping {
        let seen = self.seen.lock();
        Ping {
            now_ms: now.wall_ms,
            stamp_ms: now.uptime_ms,
            state: seen.readiness.state(),
            is_complete: seen.readiness.is_complete(),
            vector: self.history.vector(),
            heard: seen.members.to_tell(now.uptime_ms),
        }
    }

    /// What is due by now, and where this node stands. To be called several times a second.
    pub(crate) fn tick(&self, now: Now) -> (Steps, Found) {
        let mut steps = Steps::default();
        let links: Vec<_> = {
            let links = self.links.lock();
            links
                .iter()
                .map(|(link, talk)| (*link, Arc::clone(talk)))
                .collect()
        };
        self.notice_pause(&links, &mut steps, now);
        self.notice_step(&links, now);
        let found = self.look(&links, &mut steps, now);
        for (link, talk) in &links {
            let mut talk = talk.lock();
            let silent_ms = now.uptime_ms.saturating_sub(talk.heard_ms);
            if silent_ms > SILENCE_MAX_MS {
                steps
                    .closes
                    .push((*link, format!("it was silent for {silent_ms} ms")));
                continue;
            }
            if talk.peer.is_none() {
                continue;
            }
            if talk.way == Way::Connection && talk.is_ping_due(now.uptime_ms) {
                steps.frames.push((*link, Frame::Ping(self.ping(now))));
            }
            if talk.is_round_due(self.is_comparison_needed(&talk, now), now.uptime_ms) {
                let number = talk.next_round(now.uptime_ms);
                // What one of the two drops a minute before the other is no difference. A clock that is ahead must
                // not leave out what is in force.
                let behind_ms = talk.offset_ms.unwrap_or_default().min(0);
                let wall_ms = now.wall_ms.saturating_add_signed(behind_ms);
                let beyond = UnixTime::from_seconds(wall_ms / 1_000 + 60);
                let there = (talk.state, talk.spoken_for(now.uptime_ms));
                let (round, frame) = Round::begin(number, there, &self.set, beyond, now.uptime_ms);
                talk.round = Some(round);
                steps.frames.push((*link, frame));
            }
        }
        (steps, found)
    }

    /// A process that did not run for long has missed what was said meanwhile.
    fn notice_pause(&self, links: &[(LinkId, Arc<Mutex<Talk>>)], steps: &mut Steps, now: Now) {
        let mut seen = self.seen.lock();
        let paused_ms = now.uptime_ms.saturating_sub(seen.ticked_ms);
        seen.ticked_ms = now.uptime_ms;
        if paused_ms <= SILENCE_MAX_MS {
            return;
        }
        seen.readiness.begin_anew(now.uptime_ms);
        drop(seen);
        for (link, talk) in links {
            talk.lock().agreed_ms = None;
            steps.closes.push((
                *link,
                format!("this process did not run for {paused_ms} ms"),
            ));
        }
    }

    /// What was compared by a clock that was wrong may lack something: entries that seemed to be over, and cutoffs
    /// that seemed to lie ahead.
    fn notice_step(&self, links: &[(LinkId, Arc<Mutex<Talk>>)], now: Now) {
        let ahead_ms = difference(now.wall_ms, now.uptime_ms);
        let mut seen = self.seen.lock();
        let step_ms = ahead_ms.saturating_sub(seen.wall_ahead_ms);
        if step_ms.unsigned_abs() <= SKEW_WARNING_MS {
            return;
        }
        seen.wall_ahead_ms = ahead_ms;
        drop(seen);
        for (_, talk) in links {
            talk.lock().clock_stepped(step_ms);
        }
    }

    /// Whether something is known to be missing here that the peer has. While this node is not ready, one comparison
    /// with a peer that stands where it stood then is enough.
    fn is_comparison_needed(&self, talk: &Talk, now: Now) -> bool {
        let seen = self.seen.lock();
        if seen.readiness.is_settled() {
            let (spoken_for, now_ms) = (talk.spoken_for(now.uptime_ms), now.uptime_ms);
            return seen.members.is_comparison_due(&spoken_for, now_ms);
        }
        talk.agreed_ms.is_none() || talk.agreed_with != talk.state
    }

    fn look(&self, links: &[(LinkId, Arc<Mutex<Talk>>)], steps: &mut Steps, now: Now) -> Found {
        let views: Vec<_> = links
            .iter()
            .filter_map(|(_, talk)| talk.lock().view())
            .collect();
        let reached = |origin: &Origin| self.history.reached(origin);
        let caught_up = links.iter().filter_map(|(_, talk)| {
            let mut talk = talk.lock();
            let caught_up = talk.caught_up(reached, now.uptime_ms)?;
            Some((talk.peer.as_ref()?.node.clone(), caught_up))
        });
        let caught_up: Vec<_> = caught_up.collect();
        let mut seen = self.seen.lock();
        let seen = &mut *seen;
        for (node, CaughtUp { at_ms, heard }) in caught_up {
            seen.members.heard(&node, at_ms, now.uptime_ms);
            seen.hear_of(&heard, &self.name, at_ms, now.uptime_ms);
        }
        seen.members.look(&seen.rules.quarantine, now.uptime_ms);
        let members = &seen.members;
        let mut ended = seen.nodes.prune(|node| members.has(node), now.uptime_ms);
        ended.extend(seen.forget_quarantined());
        self.count_no_more(ended, steps);
        let was_complete = seen.readiness.is_complete();
        let mut reached = seen.targets.reached(&views);
        if let Some(bus) = &mut seen.bus {
            let on_bus = bus.view(seen.readiness.since_ms(), now.uptime_ms);
            if on_bus.is_silent {
                seen.members.miss_those_on_the_bus(now.uptime_ms);
            }
            if seen.readiness.is_settled() {
                bus.lack_nothing();
            }
            reached.bus = Some(on_bus);
        }
        let found = seen
            .readiness
            .look(&seen.rules, &views, reached, &seen.members, now.uptime_ms);
        if seen.readiness.is_complete() && !was_complete {
            steps.imports.push(Import::complete());
        }
        found
    }

    /// Other rules from now on. Peers that are in quarantine now are hung up on.
    pub(crate) fn obey(&self, rules: Rules) -> Steps {
        let mut steps = Steps::default();
        let peers: Vec<_> = {
            let peers = self.peers.lock();
            let linked = peers.iter();
            let linked = linked.filter(|(_, linked)| rules.quarantine.contains(&linked.peer.node));
            linked.map(|(link, _)| *link).collect()
        };
        for link in peers {
            let talk = self.links.lock().get(&link).cloned();
            if let Some(talk) = talk {
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

    /// No vector tells any more what a node in quarantine revoked before, and a peer may lack some of it.
    fn compare_with_all(&self) {
        let talks: Vec<_> = self.links.lock().values().cloned().collect();
        for talk in talks {
            talk.lock().is_round_due = true;
        }
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

    /// The operator takes the responsibility: this node knows enough.
    pub(crate) fn force_ready(&self) {
        self.seen.lock().readiness.force();
    }

    /// Of every node that is connected or missed, for people.
    pub(crate) fn status(&self, now: Now) -> Vec<PeerStatus> {
        let all_heard = self.seen.lock().members.to_tell(now.uptime_ms);
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        let mut peers: Vec<_> = links
            .iter()
            .filter_map(|talk| {
                let talk = talk.lock();
                let peer = talk.peer.as_ref()?;
                let heard = all_heard.iter().find(|heard| heard.node == peer.node);
                Some(PeerStatus {
                    node: peer.node.clone(),
                    state: talk.state.name(),
                    is_connected: true,
                    silent_ms: heard.map_or(0, |heard| u64::from(heard.ago_ms)),
                    clock_ahead_ms: talk.offset_ms,
                })
            })
            .collect();
        for heard in all_heard {
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
            .and_then(Listening::round_trip_ms);
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        let of_peer = |talk: &Arc<Mutex<Talk>>| {
            let talk = talk.lock();
            talk.peer.as_ref()?;
            match talk.way {
                Way::Connection => talk.round_trip_ms(),
                Way::Bus => by_bus_ms,
            }
        };
        links.iter().filter_map(of_peer).collect()
    }

    /// How many nodes ought to have every revocation, beside this one.
    pub(crate) fn expected(&self) -> u64 {
        let seen = self.seen.lock();
        seen.members.present().max(seen.targets.others()) as u64
    }

    /// The time that most nodes go by; `None`: nobody is there to ask.
    pub(crate) fn agreed_time(&self, now: Now) -> Option<UnixTime> {
        let ahead_ms = self.clock_ahead_ms()?;
        let time_ms = now.wall_ms.saturating_add_signed(ahead_ms.saturating_neg());
        Some(UnixTime::from_seconds(time_ms / 1_000))
    }

    /// How far our clock is ahead of those of the others, in milliseconds.
    pub(crate) fn clock_ahead_ms(&self) -> Option<i64> {
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        let offsets = links.iter().filter_map(|talk| talk.lock().offset_ms);
        median(offsets.collect()).map(i64::saturating_neg)
    }
}

/// What is said on the bus.
impl Mesh {
    /// There is a bus, and nothing was heard on it yet.
    pub(crate) fn expect_bus(&self, now: Now) {
        self.seen.lock().bus = Some(Listening::since(now.uptime_ms));
    }

    /// Does something with what is known of the bus. The moment is that since which it counts what is known.
    pub(crate) fn on_bus(&self, note: impl FnOnce(&mut Listening, u64)) {
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
        let mut talk = Talk::new(is_dialed, None, vec![node.clone()], now.uptime_ms);
        talk.way = Way::Bus;
        let hello = Hello {
            version: VERSION,
            node: node.clone(),
            origin,
            ping,
        };
        let steps = self.greet(link, &mut talk, hello, now);
        self.links.lock().insert(link, Arc::new(Mutex::new(talk)));
        (Frame::Ping(self.ping(now)), steps)
    }

    /// A node was heard on the bus before this one was there; `is_known` is whether all that it told is known here.
    pub(crate) fn was_on_bus(&self, told: &Heard, is_known: bool, now: Now) {
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
    fn lacks_words_of(&self, talk: &Talk, peer: &Peer) -> bool {
        let told = talk.vector.get(&peer.origin).copied().unwrap_or_default();
        talk.way == Way::Bus && told > self.history.reached(&peer.origin)
    }

    /// A node to which the bus leads has greeted again: it has forgotten what was being said.
    pub(crate) fn greeted_by_bus(&self, link: LinkId, now: Now) {
        if let Some(talk) = self.links.lock().get(&link).cloned() {
            talk.lock().peer_began_anew(now.uptime_ms);
        }
    }

    /// Rows that a node says to everybody, and to which there is a connection, or nothing yet. Its numbers are believed if
    /// it has introduced itself as that origin.
    pub(crate) fn overhear(
        &self,
        node: &NodeName,
        bucket: &mut Bucket,
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
                if self.history.reached(origin) >= last.saturating_sub(1) {
                    return steps;
                }
                steps.pause_ms = self.pause_for(bucket, rows.len(), now);
                let said = Vector::from([(*origin, last.saturating_sub(1))]);
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
            | Frame::Digests { .. }
            | Frame::Differ { .. }
            | Frame::Take { .. }
            | Frame::Reconcile { .. }
            | Frame::Fetch { .. }
            | Frame::Rows { .. }
            | Frame::Goodbye(_)
            | Frame::Certificates(_) => {}
        }
        steps
    }

    /// Whether a node is not in quarantine.
    pub(crate) fn listens_to(&self, node: &NodeName) -> bool {
        !self.seen.lock().rules.quarantine.contains(node)
    }

    /// Whether this is the way to a node.
    pub(crate) fn is_way_to(&self, link: LinkId, node: &NodeName) -> bool {
        self.link_to(node) == Some(link)
    }

    /// Whether there is a connection to a node, and not only the bus.
    pub(crate) fn is_connected_to(&self, node: &NodeName) -> bool {
        let peers = self.peers.lock();
        let mut linked = peers.values();
        linked.any(|linked| linked.peer.node == *node && linked.way == Way::Connection)
    }
}

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

#[cfg(test)]
impl Mesh {
    pub(crate) fn revocations(&self) -> Vec<crate::revocation::Revocation> {
        let summaries = self.set.summaries(UnixTime::EPOCH);
        let entries = summaries
            .iter()
            .flat_map(|one| self.set.entries(one.section, UnixTime::EPOCH));
        entries.map(|(_, revocation)| revocation).collect()
    }

    /// The connection that counts to this node.
    pub(crate) fn link_of(&self, node: &NodeName) -> Option<LinkId> {
        self.link_to(node)
    }

    /// When the last comparison on each connection began that came to its end, and where the peer stood then.
    pub(crate) fn agreed(&self) -> Vec<(LinkId, u64, crate::revocation::State)> {
        let links = self.links.lock();
        let agreed = links.iter().filter_map(|(link, talk)| {
            let talk = talk.lock();
            Some((*link, talk.agreed_ms?, talk.agreed_with))
        });
        agreed.collect()
    }
}
