//! The state of the mesh: this node, its links and its view of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::steps::{LinkId, Now};
use crate::cluster::protocol::bus::BusState;
use crate::cluster::protocol::counters::ExchangeCounters;
use crate::cluster::protocol::discovery::Discovery;
use crate::cluster::protocol::failure_detector::FailureDetector;
use crate::cluster::protocol::frame::Heartbeat;
use crate::cluster::protocol::limits::RowLimits;
use crate::cluster::protocol::membership::{Chain, Membership, NamesOf};
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{LinkKind, PeerId, PeerSession};
use crate::cluster::protocol::readiness::{ReadinessPolicy, SyncProgress};
use crate::revocation::{NodeName, Origin, ReplicationLog, Set};

/// A node of the cluster, as the protocol sees it.
pub(crate) struct Mesh {
    pub(crate) name: NodeName,
    pub(crate) set: Arc<Set>,
    pub(crate) replication_log: Arc<ReplicationLog>,
    pub(crate) exchanged: Arc<ExchangeCounters>,
    pub(crate) limits: RowLimits,
    /// Locked for moments, and never while `seen` is. A session is locked while one message is worked on, and may lock
    /// either; so no session is locked under them. One lock for all would be held for as long as the longest step of a
    /// comparison, and every ping and tick would wait: with a million tokens on both sides that step took 0.4 s in a test
    /// build where a window has 7,000 of them, and longer where it has more.
    links: Mutex<BTreeMap<LinkId, LinkEntry>>,
    pub(super) seen: Mutex<SeenNow>,
}

/// A connection.
struct LinkEntry {
    session: Arc<Mutex<PeerSession>>,
    /// Where it leads to, once that is known and as long as it counts.
    route: Option<PeerRoute>,
}

/// Where a connection leads to.
#[derive(Clone)]
pub(super) struct PeerRoute {
    pub(super) peer: PeerId,
    pub(super) is_dialed: bool,
    pub(super) kind: LinkKind,
}

/// This node's certificate, and what those of others are examined by.
pub(super) struct NodeCertificates {
    pub(super) own: Chain,
    pub(super) names_of: NamesOf,
}

/// What decides the state of this node.
pub(super) struct SeenNow {
    pub(super) failure_detector: FailureDetector,
    pub(super) nodes: Membership,
    pub(super) targets: Discovery,
    pub(super) rules: ReadinessPolicy,
    pub(super) readiness: SyncProgress,
    /// `None`: there is no bus.
    pub(super) bus: Option<BusState>,
    pub(super) ticked_ms: u64,
    /// How far the wall clock was ahead of the uptime when it was last set.
    pub(super) wall_ahead_ms: i64,
    /// Up to which number others can know of an origin that this node is: it was there at the start, or was advertised since.
    pub(super) advertised: (Origin, u64),
    /// When this node was last told to be another origin.
    pub(super) renewed_ms: Option<u64>,
    /// `None`: nodes have no certificates.
    pub(super) certificates: Option<Arc<NodeCertificates>>,
}

impl SeenNow {
    /// Nothing is left of a node in quarantine but what it revoked; the origins that are counted no more.
    pub(super) fn forget_quarantined(&mut self) -> Vec<Origin> {
        let nodes = &mut self.nodes;
        let quarantine = self.rules.quarantine.iter();
        let known: Vec<_> = quarantine.filter(|node| nodes.is_real(node)).collect();
        if known.is_empty() {
            return Vec::new();
        }
        let ended = known.into_iter().flat_map(|node| nodes.forget(node));
        let ended = ended.collect();
        self.failure_detector.keep_real(|node| nodes.is_real(node));
        ended
    }

    pub(super) fn apply_heartbeats(
        &mut self,
        heard: &[Heartbeat],
        own: &NodeName,
        said_ms: u64,
        now_ms: u64,
    ) {
        let is_awaited = !self.targets.are_found();
        let nodes = &self.nodes;
        let is_real = |node: &NodeName| node != own && nodes.is_real(node);
        let detector = &mut self.failure_detector;
        detector.apply_advertised(heard, is_real, is_awaited, said_ms, now_ms);
    }
}

impl Mesh {
    pub(crate) fn new(
        name: NodeName,
        set: Arc<Set>,
        replication_log: Arc<ReplicationLog>,
        rules: ReadinessPolicy,
        is_complete: bool,
        now: Now,
    ) -> Self {
        let exchanged = Arc::new(ExchangeCounters::default());
        let advertised = replication_log.own();
        Self {
            name,
            set,
            replication_log,
            limits: RowLimits::new(Arc::clone(&exchanged)),
            exchanged,
            links: Mutex::default(),
            seen: Mutex::new(SeenNow {
                failure_detector: FailureDetector::default(),
                nodes: Membership::default(),
                targets: Discovery::default(),
                rules,
                readiness: SyncProgress::at_start(is_complete, now.uptime_ms),
                bus: None,
                ticked_ms: now.uptime_ms,
                wall_ahead_ms: difference(now.wall_ms, now.uptime_ms),
                advertised,
                renewed_ms: None,
                certificates: None,
            }),
        }
    }

    /// A connection is there from now on.
    pub(super) fn add_link(&self, link: LinkId, session: PeerSession) -> Arc<Mutex<PeerSession>> {
        let session = Arc::new(Mutex::new(session));
        let entry = LinkEntry {
            session: Arc::clone(&session),
            route: None,
        };
        self.links.lock().insert(link, entry);
        session
    }

    /// A connection is gone. Where it led to, if it counted.
    pub(super) fn remove_link(&self, link: LinkId) -> Option<PeerRoute> {
        self.links.lock().remove(&link)?.route
    }

    /// Where a connection leads to from now on; `None`: it does not count any more.
    pub(super) fn set_route(&self, link: LinkId, route: Option<PeerRoute>) {
        if let Some(entry) = self.links.lock().get_mut(&link) {
            entry.route = route;
        }
    }

    /// The session on a connection.
    pub(super) fn session(&self, link: LinkId) -> Option<Arc<Mutex<PeerSession>>> {
        let links = self.links.lock();
        links.get(&link).map(|entry| Arc::clone(&entry.session))
    }

    /// The sessions on all connections, with those whose peer is not known yet.
    pub(super) fn sessions(&self) -> Vec<(LinkId, Arc<Mutex<PeerSession>>)> {
        let links = self.links.lock();
        let sessions = links.iter();
        sessions
            .map(|(link, entry)| (*link, Arc::clone(&entry.session)))
            .collect()
    }

    /// The connections that count, and where they lead to.
    pub(super) fn routes(&self) -> Vec<(LinkId, PeerRoute)> {
        let links = self.links.lock();
        let routes = links.iter();
        routes
            .filter_map(|(link, entry)| Some((*link, entry.route.clone()?)))
            .collect()
    }

    /// The connection to a node that counts.
    pub(super) fn link_to(&self, node: &NodeName) -> Option<(LinkId, PeerRoute)> {
        let mut routes = self.routes().into_iter();
        routes.find(|(_, route)| route.peer.node == *node)
    }
}

#[cfg(test)]
impl Mesh {
    pub(crate) fn revocations(&self) -> Vec<crate::revocation::Revocation> {
        let summaries = self.set.summaries(crate::clock::UnixTime::EPOCH);
        let entries = summaries
            .iter()
            .flat_map(|one| self.set.entries(one.bucket, crate::clock::UnixTime::EPOCH));
        entries.map(|(_, revocation)| revocation).collect()
    }

    /// The connection that counts to this node.
    pub(crate) fn link_of(&self, node: &NodeName) -> Option<LinkId> {
        self.link_to(node).map(|(link, _)| link)
    }

    /// When the last comparison on each connection began that came to its end, and where the peer stood then.
    pub(crate) fn agreed(&self) -> Vec<(LinkId, u64, crate::revocation::SyncPhase)> {
        let sessions = self.sessions();
        let agreed = sessions.iter().filter_map(|(link, session)| {
            let session = session.lock();
            Some((*link, session.agreed_ms?, session.agreed_with))
        });
        agreed.collect()
    }
}
