//! This node at work: the connections, the clock and the disk around the mesh.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use log::{debug, error, info, warn};
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::bus::{self, BusCounts, Post};
use super::dialer::{self, Complaints};
use super::outbox::{self, Order, Outbox};
use super::settings::{ClusterSettings, Peer, Security};
use super::transport::{Arrival, Joins, Link, Transport};
use crate::clock;
use crate::cluster::enrolment::joined_nodes::joined;
use crate::cluster::enrolment::server::Registrar;
use crate::cluster::protocol::counters::Exchanged;
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::membership::Chain;
use crate::cluster::protocol::mesh::{LinkId, Mesh, Now, PeerStatus, Steps};
use crate::cluster::protocol::readiness::{Rules, SKEW_WARNING_MS};
use crate::revocation::{Ack, Found, Import, NodeName, Origin, Progress, Revocations, State};

/// How often it is asked what is due, and where this node stands.
const TICK: Duration = Duration::from_millis(100);

/// How long a node that stops waits until others have heard its last words.
const FAREWELL: Duration = Duration::from_millis(500);

/// How often a clock that is wrong is complained about.
const SKEW_WARNING_EVERY_MS: u64 = 60_000;

/// This node among others.
pub struct Node {
    pub(super) shared: Arc<Shared>,
    /// None, where nodes have no certificates.
    registrar: Option<Arc<Registrar>>,
    runtime: Option<Runtime>,
    address: SocketAddr,
}

/// What all tasks of a node need.
pub(super) struct Shared {
    pub(super) mesh: Mesh,
    pub(super) transport: Arc<Transport>,
    pub(super) revocations: Arc<Revocations>,
    outboxes: Mutex<HashMap<LinkId, Outbox>>,
    next_link: AtomicU64,
    /// Where others are, as the configuration says.
    peers: Mutex<Vec<Peer>>,
    /// The same, as those said who joined.
    joined: Mutex<Vec<SocketAddr>>,
    pub(super) ack: Mutex<Ack>,
    pub(super) complaints: Complaints,
    propagation: Histogram,
    renewing: Mutex<Option<Origin>>,
    /// The digest of the rules of who may be a peer.
    security: Mutex<[u8; 32]>,
    skew_warned_ms: AtomicU64,
    /// `None`: there is no bus.
    post: Option<Arc<Post>>,
}

/// Why a node can't take part.
#[derive(Debug)]
pub enum NodeError {
    /// The address can't be listened on.
    Bind(SocketAddr, io::Error),
    /// The certificates can't be used.
    Certificates(String),
    /// The bus can't be used.
    Bus(String),
    /// The system refuses something else.
    System(io::Error),
}

impl std::error::Error for NodeError {}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(
                f,
                "the cluster's address {address} can't be listened on: {error}\n  \
                 help: see who has it with `ss -ltnp`"
            ),
            Self::Certificates(why) => write!(f, "the cluster's certificates can't be used: {why}"),
            Self::Bus(why) => write!(f, "the cluster's bus can't be used: {why}"),
            Self::System(error) => write!(f, "the cluster can't be joined: {error}"),
        }
    }
}

/// How a node fares, for people.
#[derive(Debug, serde::Serialize)]
pub struct NodeStatus {
    /// What it is called.
    pub node: String,
    /// Where it stands.
    pub state: &'static str,
    /// Why; empty where there is nothing to say.
    pub why: String,
    /// The others.
    pub peers: Vec<PeerStatus>,
}

/// How a node fares, for machines.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeCounts {
    /// How many nodes are connected.
    pub connected: usize,
    /// How many ought to be, and are not.
    pub missing: usize,
    /// How far our clock is ahead of the others', in seconds; zero, where there are none.
    pub clock_ahead_s: f64,
}

impl Node {
    /// Takes part in the cluster. The data folder says whom this node admitted, and whom it invited.
    pub fn start(
        settings: &ClusterSettings,
        revocations: &Arc<Revocations>,
        data_dir: &Path,
    ) -> Result<Self, NodeError> {
        let joined = joined(data_dir).map_err(NodeError::System)?;
        let transport = Transport::new(&settings.security).map_err(NodeError::Certificates)?;
        let bind = |error| NodeError::Bind(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("gossip")
            .enable_all()
            .build()
            .map_err(NodeError::System)?;
        own_origin(revocations, &settings.node)?;
        let mesh = Mesh::new(
            settings.node.clone(),
            Arc::clone(revocations.set()),
            Arc::clone(revocations.history()),
            rules_of(settings),
            revocations.was_complete(),
            now(),
        );
        mesh.remember(revocations.introduced(), now());
        let post = settings.bus.as_ref().map(|bus| {
            mesh.expect_bus(now());
            Post::new(bus, settings, revocations.history()).map(Arc::new)
        });
        let post = post.transpose().map_err(NodeError::Bus)?;
        let shared = Arc::new(Shared {
            mesh,
            transport: Arc::new(transport),
            revocations: Arc::clone(revocations),
            outboxes: Mutex::default(),
            next_link: AtomicU64::new(0),
            peers: Mutex::new(settings.peers.clone()),
            joined: Mutex::new(joined.into_iter().map(|(_, address)| address).collect()),
            ack: Mutex::new(settings.ack),
            complaints: Complaints::default(),
            propagation: Histogram::new(exponential_buckets(0.001, 2.0, 17)), // to a minute
            renewing: Mutex::new(None),
            security: Mutex::new(settings.security.digest()),
            skew_warned_ms: AtomicU64::new(0),
            post,
        });
        shared.show_certificates(&settings.security);
        let registrar = registrar(settings, data_dir, &shared);
        let joins = registrar
            .as_ref()
            .map_or_else(nobody_joins, Registrar::joins);
        let inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(NodeError::System)?;
        let (arrivals, inbox) = mpsc::channel(64);
        let transport = Arc::clone(&shared.transport);
        tokio::spawn(transport.serve(listener, arrivals, joins));
        tokio::spawn(Arc::clone(&shared).receive_all(inbox));
        tokio::spawn(dialer::dial_all(Arc::clone(&shared)));
        tokio::spawn(Arc::clone(&shared).tick_forever());
        if let Some(post) = &shared.post {
            tokio::spawn(bus::attend(Arc::clone(&shared), Arc::clone(post)));
        }
        drop(inside);
        info!(service = "gossip", address:%; "listening");
        Ok(Self {
            shared,
            registrar,
            runtime: Some(runtime),
            address,
        })
    }

    /// Where others come to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until this node may serve, or for so long.
    pub fn await_standing(&self, patience: Duration) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        let standing = self.shared.revocations.standing();
        runtime.block_on(async {
            let ready = async {
                while !standing.serves(clock::now()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let _ = tokio::time::timeout(patience, ready).await; // it is asked for by every request
        });
    }

    /// Obeys other settings, as far as a running node can.
    ///
    /// # Errors
    ///
    /// The certificates can't be used; nothing has changed then.
    pub fn obey(&self, settings: &ClusterSettings) -> Result<(), String> {
        self.shared.transport.replace(&settings.security)?;
        self.shared.show_certificates(&settings.security);
        let rules = settings.security.digest();
        if std::mem::replace(&mut *self.shared.security.lock(), rules) != rules {
            self.shared
                .close_all("the rules of who may be a peer have changed");
        }
        if let Some(registrar) = &self.registrar {
            registrar.obey(settings);
        }
        self.shared.peers.lock().clone_from(&settings.peers);
        *self.shared.ack.lock() = settings.ack;
        if let Some(post) = &self.shared.post {
            post.obey(settings);
        }
        let steps = self.shared.mesh.obey(rules_of(settings));
        self.shared.carry_out(steps);
        Ok(())
    }

    /// Nothing that others say needs to be kept longer than that; `None`: some tokens live for ever.
    pub fn keep_at_most(&self, longest: Option<Duration>) {
        self.shared.mesh.admission.keep_at_most(longest);
    }

    /// The operator takes the responsibility: this node serves by what it knows.
    pub fn force_ready(&self) {
        self.shared.mesh.force_ready();
    }

    /// How this node fares, for people.
    pub fn status(&self) -> NodeStatus {
        let standing = self.shared.revocations.standing();
        NodeStatus {
            node: self.shared.mesh.name.to_string(),
            state: standing.state().name(),
            why: standing.why(),
            peers: self.shared.mesh.status(now()),
        }
    }

    /// How this node fares, for machines.
    pub fn counts(&self) -> NodeCounts {
        let now = now();
        let status = self.shared.mesh.status(now);
        let ahead_ms = self.shared.mesh.clock_ahead_ms().unwrap_or_default();
        let ahead_ms = i32::try_from(ahead_ms).unwrap_or(i32::MAX);
        let connected = status.iter().filter(|peer| peer.is_connected).count();
        let expected = usize::try_from(self.shared.mesh.expected()).unwrap_or(usize::MAX);
        NodeCounts {
            connected,
            missing: expected.saturating_sub(connected),
            clock_ahead_s: f64::from(ahead_ms) / 1_000.0,
        }
    }

    /// How long it took from a revocation's being on disk at another node until its token was refused here.
    pub fn propagation(&self) -> &Histogram {
        &self.shared.propagation
    }

    /// How much was exchanged.
    pub fn exchanged(&self) -> &Exchanged {
        &self.shared.mesh.exchanged
    }

    /// How the bus fares, for machines; `None`: there is none.
    pub fn bus(&self) -> Option<BusCounts> {
        self.shared.post.as_ref().map(|post| post.counts())
    }

    /// Says goodbye, once what was revoked here has been sent.
    pub fn leave(&self) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        for outbox in self.shared.outboxes.lock().values() {
            outbox.order(Order::Leave);
        }
        let post = self.shared.post.as_ref();
        if let Some(post) = post {
            post.leave();
        }
        let has_left = || post.is_none_or(|post| post.has_said_goodbye());
        runtime.block_on(async {
            let gone = async {
                while !(self.shared.outboxes.lock().is_empty() && has_left()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = tokio::time::timeout(FAREWELL, gone).await; // who has not heard it will miss us
        });
        if let Some(import) = post.and_then(|post| post.progress()) {
            self.shared.revocations.import(import);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What both clocks say.
pub(super) fn now() -> Now {
    Now {
        uptime_ms: clock::uptime_ms(),
        wall_ms: clock::now_ms(),
    }
}

/// A journal that was made before its node had this name, or for another node, is another origin from now on.
fn own_origin(revocations: &Revocations, node: &NodeName) -> Result<(), NodeError> {
    let (origin, _) = revocations.history().own();
    if origin.is_of(node.as_str()) {
        return Ok(());
    }
    let random = |_| NodeError::System(io::Error::other("no random numbers can be had"));
    let own = Origin::of_node(node.as_str()).map_err(random)?;
    revocations.history().renew(own);
    revocations.import(Import::noting(Progress {
        origin: Some(own),
        ..Progress::default()
    }));
    Ok(())
}

fn rules_of(settings: &ClusterSettings) -> Rules {
    Rules {
        on_stale: settings.on_stale,
        on_isolated: settings.on_isolated,
        bootstrap_timeout_ms: u64::try_from(settings.bootstrap_timeout.as_millis())
            .unwrap_or(u64::MAX),
        initial: settings.initial,
        quarantine: settings.quarantine.clone(),
    }
}

/// Who makes machines nodes of this cluster.
fn registrar(
    settings: &ClusterSettings,
    data_dir: &Path,
    shared: &Arc<Shared>,
) -> Option<Arc<Registrar>> {
    let (asked, told) = (Arc::clone(shared), Arc::clone(shared));
    let connected = move || asked.connected();
    let admitted = move |addresses| *told.joined.lock() = addresses;
    Registrar::new(settings, data_dir, connected, admitted).map(Arc::new)
}

/// Where nobody has certificates, there is none to be had.
fn nobody_joins() -> Joins {
    Arc::new(|_, _| (StatusCode::NOT_FOUND, Vec::new()))
}

impl Shared {
    /// Others are shown this node's certificate, so that they know it by way of each other.
    fn show_certificates(&self, security: &Security) {
        if let Security::Certificates(certificates) = security {
            let own = certificates.chain.iter();
            let own = own.map(|der| Bytes::copy_from_slice(der)).collect();
            let transport = Arc::clone(&self.transport);
            let names_of = move |chain: &Chain| transport.names_certified(chain);
            self.mesh.show_certificates(own, Box::new(names_of));
        }
    }

    /// The nodes that are connected.
    fn connected(&self) -> Vec<NodeName> {
        let status = self.mesh.status(now()).into_iter();
        status
            .filter(|peer| peer.is_connected)
            .map(|peer| peer.node)
            .collect()
    }

    /// Where others are.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let joined = self.joined.lock().clone().into_iter().map(Peer::Address);
        let mut peers = self.peers.lock().clone();
        peers.extend(joined);
        peers
    }

    async fn receive_all(self: Arc<Self>, mut inbox: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = inbox.recv().await {
            match arrival.link {
                Ok(link) => {
                    tokio::spawn(Arc::clone(&self).talk(link, None));
                }
                Err(error) => {
                    let remote = arrival.remote.ip();
                    if self.complaints.may_be_made(remote, now().uptime_ms) {
                        warn!(remote:%; "somebody who is no peer came to the cluster's address: {error}");
                    }
                }
            }
        }
    }

    /// A connection from its first frame to its last.
    pub(super) async fn talk(self: Arc<Self>, link: Link, target: Option<SocketAddr>) {
        let id = self.next_link();
        let Link {
            names,
            remote,
            is_dialed,
            sender,
            mut receiver,
        } = link;
        let hello = self.mesh.connect(id, is_dialed, target, names, now());
        let (outbox, inbox) = Outbox::new();
        outbox.order(Order::Say(hello));
        let overdue = outbox.overdue();
        self.add_outbox(id, outbox);
        let present = Present::of(Arc::clone(&self), id);
        let writing = outbox::write(Arc::clone(&self), inbox, sender);
        let reading = async {
            loop {
                let bytes = receiver.next().await?;
                let Some(bytes) = bytes else {
                    return Ok::<_, io::Error>("it hung up".to_owned());
                };
                let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
                let Some(frame) = Frame::decode(&bytes).map_err(invalid)? else {
                    continue; // a later version's
                };
                let steps = self.mesh.receive(id, frame, now()).map_err(invalid)?;
                let pause = Duration::from_millis(steps.pause_ms);
                self.carry_out(steps);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let why = tokio::select! {
            why = reading => why,
            why = writing => why,
            why = overdue => Ok(why),
        };
        let why = why.unwrap_or_else(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                "the connection broke off".to_owned() // rustls would quote its manual
            } else {
                error.to_string()
            }
        });
        match present.end() {
            Some(node) => info!(peer:% = node, why; "peer gone"),
            None => debug!(remote:%, why; "no peer"),
        }
    }

    /// Does what the mesh says is to be done.
    pub(super) fn carry_out(&self, steps: Steps) {
        for import in steps.imports {
            self.revocations.import(import);
        }
        if let Some((link, node, after)) = steps.joined {
            if self.mesh.is_connected_to(&node) {
                info!(peer:% = node; "peer connected");
            } else {
                info!(peer:% = node, by = "bus"; "peer connected");
            }
            let (origin, _) = self.mesh.history.own();
            self.revocations.acks().note(&node, origin, after);
            self.order(link, Order::Push { origin, after });
        }
        if let Some((node, origin, reached)) = steps.acked {
            self.revocations.acks().note(&node, origin, reached);
        }
        if let Some(spread_ms) = steps.spread_ms {
            let took = Duration::from_millis(spread_ms);
            self.propagation.observe(took.as_secs_f64());
        }
        for (link, frame) in steps.frames {
            self.order(link, Order::Say(frame));
        }
        for (link, why) in steps.closes {
            self.order(link, Order::Close(why));
        }
        if steps.must_renew {
            self.renew();
        }
    }

    /// A number that no connection has had.
    pub(super) fn next_link(&self) -> LinkId {
        self.next_link.fetch_add(1, Ordering::Relaxed)
    }

    /// What is ordered for a connection comes here from now on.
    pub(super) fn add_outbox(&self, link: LinkId, outbox: Outbox) {
        self.outboxes.lock().insert(link, outbox);
    }

    pub(super) fn order(&self, link: LinkId, order: Order) {
        if let Some(outbox) = self.outboxes.lock().get(&link) {
            outbox.order(order);
        }
    }

    /// Becomes another origin, and begins every connection anew.
    fn renew(&self) {
        let (origin, _) = self.mesh.history.own();
        let mut renewing = self.renewing.lock();
        if *renewing == Some(origin) {
            return;
        }
        let Ok(fresh) = Origin::of_node(self.mesh.name.as_str()) else {
            return error!("no random numbers can be had");
        };
        *renewing = Some(origin);
        warn!(
            "other nodes know more of this node's revocations than its journal does: it is an older copy; what is missing is fetched"
        );
        self.revocations.import(Import {
            revocations: Vec::new(),
            progress: Progress {
                origin: Some(fresh),
                ..Progress::default()
            },
        });
        self.close_all("this node is another origin now");
    }

    fn close_all(&self, why: &str) {
        for outbox in self.outboxes.lock().values() {
            outbox.order(Order::Close(why.to_owned()));
        }
    }

    async fn tick_forever(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn tick(&self) {
        let now = now();
        let (steps, found) = self.mesh.tick(now);
        self.stand(found);
        self.carry_out(steps);
        let ack = *self.ack.lock();
        let round_trips_ms = self.mesh.round_trips_ms();
        let acks = self.revocations.acks();
        acks.ask_for(ack, self.mesh.expected(), &round_trips_ms);
        let agreed = self.mesh.agreed_time(now);
        self.revocations.note_time_of_others(agreed);
        self.warn_of_skew(now);
    }

    fn stand(&self, found: Found) {
        let standing = self.revocations.standing();
        let state = found.state;
        if state != standing.state() || found.why != standing.why() {
            let why = found.why.as_str();
            if state == State::Ready {
                info!(state = state.name(), why; "cluster state");
            } else {
                warn!(state = state.name(), why; "cluster state");
            }
        }
        standing.set(found, clock::now(), clock::uptime_ms());
    }

    fn warn_of_skew(&self, now: Now) {
        let ahead_ms = self.mesh.clock_ahead_ms().unwrap_or_default();
        let warned_ms = self.skew_warned_ms.load(Ordering::Relaxed);
        let is_due = warned_ms == 0 || now.uptime_ms - warned_ms >= SKEW_WARNING_EVERY_MS;
        if ahead_ms.unsigned_abs() > SKEW_WARNING_MS && is_due {
            self.skew_warned_ms.store(now.uptime_ms, Ordering::Relaxed);
            warn!(ahead_ms; "the clock is not that of the other nodes");
        }
    }
}

/// A connection that is there until this is dropped, however its task ends.
pub(super) struct Present {
    shared: Arc<Shared>,
    id: LinkId,
}

impl Present {
    pub(super) fn of(shared: Arc<Shared>, id: LinkId) -> Self {
        Self { shared, id }
    }

    /// It is over now; the node that it led to.
    pub(super) fn end(self) -> Option<NodeName> {
        self.take_out()
    }

    fn take_out(&self) -> Option<NodeName> {
        self.shared.outboxes.lock().remove(&self.id);
        let node = self.shared.mesh.disconnect(self.id)?;
        if !self.shared.mesh.is_linked_to(&node) {
            self.shared.revocations.acks().forget(&node);
        }
        Some(node)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.take_out();
    }
}
