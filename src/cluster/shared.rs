//! The state that all tasks of a node share: the mesh, its connections and the revocations.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use log::{error, info, warn};
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::backoff::warning_limit;
use super::outbox::{LinkCommand, Outbox};
use super::peer_address::PeerAddress;
use super::protocol::bus::BusEvent;
use super::protocol::membership::Chain;
use super::protocol::mesh::{LinkId, Mesh, Now, Steps};
use super::protocol::readiness::SKEW_WARNING_MS;
use super::settings::{ClusterSettings, Security};
use super::transport::Transport;
use crate::clock;
use crate::log_limit::LogLimit;
use crate::revocation::{
    AckPolicy, Import, NodeName, Origin, Progress, Revocations, SyncFinding, SyncPhase,
};

/// How often the mesh is asked what is due, and whether this node is ready.
const TICK: Duration = Duration::from_millis(100);

/// What all tasks of a node need.
pub(super) struct Shared {
    pub(super) mesh: Mesh,
    pub(super) transport: Arc<Transport>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) outboxes: Mutex<HashMap<LinkId, Outbox>>,
    pub(super) next_link: AtomicU64,
    /// Where others are, as the configuration says.
    pub(super) peers: Mutex<Vec<PeerAddress>>,
    /// The addresses of nodes that joined by way of this one.
    pub(super) joined: Mutex<Vec<SocketAddr>>,
    pub(super) ack: Mutex<AckPolicy>,
    pub(super) propagation: Histogram,
    pub(super) renewing: Mutex<Option<Origin>>,
    /// The digest of the rules that decide which nodes may be peers.
    pub(super) security: Mutex<[u8; 32]>,
    pub(super) skew_warnings: Mutex<LogLimit>,
    /// Warnings of peers whose first frame is none.
    pub(super) invalid_links: Mutex<LogLimit>,
}

/// What both clocks say.
pub(super) fn now() -> Now {
    Now {
        uptime_ms: clock::uptime_ms(),
        wall_ms: clock::now_ms(),
    }
}

impl Shared {
    pub(super) fn new(
        mesh: Mesh,
        transport: Transport,
        settings: &ClusterSettings,
        joined: Vec<SocketAddr>,
        revocations: &Arc<Revocations>,
    ) -> Self {
        Self {
            mesh,
            transport: Arc::new(transport),
            revocations: Arc::clone(revocations),
            outboxes: Mutex::default(),
            next_link: AtomicU64::new(0),
            peers: Mutex::new(settings.peers.clone()),
            joined: Mutex::new(joined),
            ack: Mutex::new(settings.ack),
            propagation: Histogram::new(exponential_buckets(0.001, 2.0, 17)), // to a minute
            renewing: Mutex::new(None),
            security: Mutex::new(settings.security.digest()),
            skew_warnings: Mutex::new(warning_limit()),
            invalid_links: Mutex::new(warning_limit()),
        }
    }

    /// Peers are sent this node's certificate and pass it on, so that nodes without a connection know its name.
    pub(super) fn show_certificates(&self, security: &Security) {
        if let Security::Certificates(certificates) = security {
            let own = certificates.chain.iter();
            let own = own.map(|der| Bytes::copy_from_slice(der)).collect();
            let transport = Arc::clone(&self.transport);
            let names_of = move |chain: &Chain| transport.names_certified(chain);
            self.mesh.show_certificates(own, Box::new(names_of));
        }
    }

    /// The nodes that are connected.
    pub(super) fn connected(&self) -> Vec<NodeName> {
        let status = self.mesh.status(now()).into_iter();
        status
            .filter(|peer| peer.is_connected)
            .map(|peer| peer.node)
            .collect()
    }

    /// The addresses of other nodes.
    pub(super) fn peers(&self) -> Vec<PeerAddress> {
        let joined = self
            .joined
            .lock()
            .clone()
            .into_iter()
            .map(PeerAddress::Address);
        let mut peers = self.peers.lock().clone();
        peers.extend(joined);
        peers
    }

    /// Carries out the steps of the mesh.
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
            let (origin, _) = self.mesh.replication_log.own();
            self.revocations.acks().note(&node, origin, after);
            self.order(link, LinkCommand::Push { origin, after });
        }
        if let Some((node, origin, reached)) = steps.acked {
            self.revocations.acks().note(&node, origin, reached);
        }
        if let Some(propagation_ms) = steps.propagation_ms {
            let took = Duration::from_millis(propagation_ms);
            self.propagation.observe(took.as_secs_f64());
        }
        for (link, frame) in steps.frames {
            self.order(link, LinkCommand::Send(frame));
        }
        for (link, why) in steps.closes {
            self.order(link, LinkCommand::Close(why));
        }
        if steps.must_renew {
            self.renew();
        }
    }

    /// Tells the mesh what the session at the bus reports, and does what is to be done.
    pub(super) fn on_bus_event(&self, event: BusEvent) {
        self.carry_out(self.mesh.on_bus_event(event, now()));
    }

    /// A number that no connection has had.
    pub(super) fn next_link(&self) -> LinkId {
        self.next_link.fetch_add(1, Ordering::Relaxed)
    }

    /// Commands for a connection go to this outbox from now on.
    pub(super) fn add_outbox(&self, link: LinkId, outbox: Outbox) {
        self.outboxes.lock().insert(link, outbox);
    }

    /// A connection is over: commands for it are dropped.
    pub(super) fn remove_outbox(&self, link: LinkId) {
        self.outboxes.lock().remove(&link);
    }

    /// Orders something for a connection, if it is still open.
    pub(super) fn order(&self, link: LinkId, order: LinkCommand) {
        if let Some(outbox) = self.outboxes.lock().get(&link) {
            outbox.order(order);
        }
    }

    /// Becomes another origin, and begins every connection anew.
    fn renew(&self) {
        let (origin, _) = self.mesh.replication_log.own();
        let mut renewing = self.renewing.lock();
        if *renewing == Some(origin) {
            return;
        }
        let Ok(fresh) = Origin::random_of(self.mesh.name.as_str()) else {
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

    pub(super) fn close_all(&self, why: &str) {
        for outbox in self.outboxes.lock().values() {
            outbox.order(LinkCommand::Close(why.to_owned()));
        }
    }

    pub(super) async fn tick_forever(self: Arc<Self>) {
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
        self.note_state(found);
        self.carry_out(steps);
        let ack = *self.ack.lock();
        let round_trips_ms = self.mesh.round_trips_ms();
        let acks = self.revocations.acks();
        acks.ask_for(ack, self.mesh.expected(), &round_trips_ms);
        let agreed = self.mesh.agreed_time(now);
        self.revocations.note_time_of_others(agreed);
        self.warn_of_skew(now);
    }

    fn note_state(&self, found: SyncFinding) {
        let sync_state = self.revocations.sync_state();
        let state = found.state;
        if state != sync_state.state() || found.why != sync_state.why() {
            let why = found.why.as_str();
            if state == SyncPhase::Ready {
                info!(state = state.name(), why; "cluster state");
            } else {
                warn!(state = state.name(), why; "cluster state");
            }
        }
        sync_state.set(found, clock::now(), clock::uptime_ms());
    }

    fn warn_of_skew(&self, now: Now) {
        let ahead_ms = self.mesh.clock_ahead_ms().unwrap_or_default();
        let is_off = ahead_ms.unsigned_abs() > SKEW_WARNING_MS;
        if is_off && self.skew_warnings.lock().is_due((), now.uptime_ms) {
            warn!(ahead_ms; "the clock differs from the other nodes' clocks");
        }
    }
}
