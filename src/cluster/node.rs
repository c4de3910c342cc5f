//! This node: its start, its status and its end.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::info;
use prometheus_client::metrics::histogram::Histogram;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::bus::{self, BusClient, BusCounts, UnfitBus};
use super::connection;
use super::dialer;
use super::enrolment::joined_nodes::joined;
use super::enrolment::server::EnrolmentServer;
use super::outbox::LinkCommand;
use super::protocol::counters::ExchangeCounters;
use super::protocol::mesh::{Mesh, PeerStatus};
use super::protocol::readiness::ReadinessPolicy;
use super::settings::ClusterSettings;
use super::shared::{Shared, now};
use super::transport::{EnrolmentHandler, JoinStatus, Transport, UnfitCertificates};
use crate::clock;
use crate::revocation::{Import, NodeName, Origin, Progress, Revocations};

/// How long a node that stops waits until its peers have its last messages.
const FAREWELL: Duration = Duration::from_millis(500);

/// A node of the cluster, as the protocol sees it.
pub struct Node {
    shared: Arc<Shared>,
    /// `None`: there is no bus.
    bus: Option<Arc<BusClient>>,
    /// None, where nodes have no certificates.
    enrolment: Option<Arc<EnrolmentServer>>,
    runtime: Option<Runtime>,
    address: SocketAddr,
}

/// Why a node can't take part.
#[derive(Debug)]
pub enum NodeError {
    /// The address can't be listened on.
    Bind(SocketAddr, io::Error),
    /// The certificates can't be used.
    Certificates(UnfitCertificates),
    /// The bus can't be used.
    Bus(UnfitBus),
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
    /// Its name.
    pub node: String,
    /// Its state.
    pub state: &'static str,
    /// Why it is in that state; may be empty.
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
    /// Takes part in the cluster. The data folder names the nodes that this one admitted and invited.
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
            Arc::clone(revocations.replication_log()),
            rules_of(settings),
            revocations.notes_at_start().is_complete,
            now(),
        );
        mesh.remember(&revocations.notes_at_start().nodes, now());
        let bus = settings.bus.as_ref().map(|bus| {
            mesh.expect_bus(now());
            bus::open(bus, settings, revocations.replication_log())
        });
        let bus = bus.transpose().map_err(NodeError::Bus)?;
        let joined = joined.into_iter().map(|(_, address)| address).collect();
        let shared = Arc::new(Shared::new(mesh, transport, settings, joined, revocations));
        shared.show_certificates(&settings.security);
        let enrolment = enrolment(settings, data_dir, &shared);
        let joins = enrolment
            .as_ref()
            .map_or_else(refuse_enrolment, EnrolmentServer::joins);
        let inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(NodeError::System)?;
        let (arrivals, inbox) = mpsc::channel(64);
        let transport = Arc::clone(&shared.transport);
        tokio::spawn(transport.serve(listener, arrivals, joins));
        tokio::spawn(connection::receive_all(Arc::clone(&shared), inbox));
        tokio::spawn(dialer::dial_all(Arc::clone(&shared)));
        tokio::spawn(Arc::clone(&shared).tick_forever());
        let bus = bus.map(|(client, writer)| {
            tokio::spawn(bus::attend(
                Arc::clone(&shared),
                Arc::clone(&client),
                writer,
            ));
            client
        });
        drop(inside);
        info!(service = "gossip", address:%; "listening");
        Ok(Self {
            shared,
            bus,
            enrolment,
            runtime: Some(runtime),
            address,
        })
    }

    /// The address that this node listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until this node may serve, or for so long.
    pub fn await_sync(&self, patience: Duration) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        let sync_state = self.shared.revocations.sync_state();
        runtime.block_on(async {
            let ready = async {
                while !sync_state.serves(clock::now()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let _ = tokio::time::timeout(patience, ready).await; // it is asked for by every request
        });
    }

    /// Takes over other settings, as far as a running node can.
    ///
    /// # Errors
    ///
    /// The certificates can't be used; nothing has changed then.
    pub fn reconfigure(&self, settings: &ClusterSettings) -> Result<(), UnfitCertificates> {
        self.shared.transport.replace(&settings.security)?;
        self.shared.show_certificates(&settings.security);
        let rules = settings.security.digest();
        if std::mem::replace(&mut *self.shared.security.lock(), rules) != rules {
            self.shared
                .close_all("the rules of who may be a peer have changed");
        }
        if let Some(enrolment) = &self.enrolment {
            enrolment.reconfigure(settings);
        }
        self.shared.peers.lock().clone_from(&settings.peers);
        *self.shared.ack.lock() = settings.ack;
        if let Some(client) = &self.bus {
            client.reconfigure(settings);
        }
        let steps = self.shared.mesh.reconfigure(rules_of(settings));
        self.shared.carry_out(steps);
        Ok(())
    }

    /// Revocations of other nodes need not be kept longer than that; `None`: some tokens live for ever.
    pub fn keep_at_most(&self, longest: Option<Duration>) {
        self.shared.mesh.limits.keep_at_most(longest);
    }

    /// Serves with what this node knows, by the operator's order.
    pub fn force_ready(&self) {
        self.shared.mesh.force_ready();
    }

    /// How this node fares, for people.
    pub fn status(&self) -> NodeStatus {
        let sync_state = self.shared.revocations.sync_state();
        NodeStatus {
            node: self.shared.mesh.name.to_string(),
            state: sync_state.state().name(),
            why: sync_state.why(),
            peers: self.shared.mesh.status(now()),
        }
    }

    /// The node whose journal this is; `None`: none that this one knows now.
    pub fn name_of_origin(&self, origin: Origin) -> Option<String> {
        let others = self.shared.mesh.status(now()).into_iter();
        let mut names =
            others
                .map(|peer| peer.node.to_string())
                .chain([self.shared.mesh.name.to_string()]);
        names.find(|name| origin.belongs_to(name))
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
    pub fn exchanged(&self) -> &ExchangeCounters {
        &self.shared.mesh.exchanged
    }

    /// How the bus fares, for machines; `None`: there is none.
    pub fn bus(&self) -> Option<BusCounts> {
        self.bus.as_ref().map(|client| client.counts())
    }

    /// Sends what was revoked here and a goodbye.
    pub fn leave(&self) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        for outbox in self.shared.outboxes.lock().values() {
            outbox.order(LinkCommand::Leave);
        }
        let client = self.bus.as_ref();
        if let Some(client) = client {
            client.leave();
        }
        let has_left = || client.is_none_or(|client| client.has_sent_goodbye());
        runtime.block_on(async {
            let gone = async {
                while !(self.shared.outboxes.lock().is_empty() && has_left()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = tokio::time::timeout(FAREWELL, gone).await; // a node that has not heard it will miss this one
        });
        if let Some(import) = client.and_then(|client| client.progress()) {
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

/// A journal that was made before its node had this name, or for another node, is another origin from now on.
fn own_origin(revocations: &Revocations, node: &NodeName) -> Result<(), NodeError> {
    let (origin, _) = revocations.replication_log().own();
    if origin.belongs_to(node.as_str()) {
        return Ok(());
    }
    let random = |_| NodeError::System(io::Error::other("no random numbers can be had"));
    let own = Origin::random_of(node.as_str()).map_err(random)?;
    revocations.replication_log().renew(own);
    revocations.import(Import::noting(Progress {
        origin: Some(own),
        ..Progress::default()
    }));
    Ok(())
}

fn rules_of(settings: &ClusterSettings) -> ReadinessPolicy {
    ReadinessPolicy {
        on_stale: settings.on_stale,
        on_isolated: settings.on_isolated,
        bootstrap_timeout_ms: u64::try_from(settings.bootstrap_timeout.as_millis())
            .unwrap_or(u64::MAX),
        new_cluster: settings.new_cluster,
        quarantine: settings.quarantine.clone(),
    }
}

/// The server of enrolments, if this node can issue certificates.
fn enrolment(
    settings: &ClusterSettings,
    data_dir: &Path,
    shared: &Arc<Shared>,
) -> Option<Arc<EnrolmentServer>> {
    let (asked, told) = (Arc::clone(shared), Arc::clone(shared));
    let connected = move || asked.connected();
    let admitted = move |addresses| *told.joined.lock() = addresses;
    EnrolmentServer::new(settings, data_dir, connected, admitted).map(Arc::new)
}

/// The handler of a cluster without certificates: there are none to request.
fn refuse_enrolment() -> EnrolmentHandler {
    Arc::new(|_, _| (JoinStatus::Failed, Vec::new()))
}
