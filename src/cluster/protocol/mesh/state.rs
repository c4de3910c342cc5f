//! What a node knows of itself and of others: no socket, no clock and no disk, so that it can be played through.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::steps::{LinkId, Now};
use crate::cluster::protocol::bus_health::Listening;
use crate::cluster::protocol::counters::Exchanged;
use crate::cluster::protocol::discovery::Targets;
use crate::cluster::protocol::failure_detector::Members;
use crate::cluster::protocol::frame::Heard;
use crate::cluster::protocol::limits::Admission;
use crate::cluster::protocol::membership::{Chain, NamesOf, Nodes};
use crate::cluster::protocol::peer_clock::difference;
use crate::cluster::protocol::peer_session::{Peer, Talk, Way};
use crate::cluster::protocol::readiness::{Readiness, Rules};
use crate::revocation::{History, NodeName, Origin, Set};

/// This node among others.
pub(crate) struct Mesh {
    pub(crate) name: NodeName,
    pub(crate) set: Arc<Set>,
    pub(crate) history: Arc<History>,
    pub(crate) exchanged: Arc<Exchanged>,
    pub(crate) admission: Admission,
    /// Locked for moments, and never while `seen` is. A session is locked while one message is worked on, and may lock
    /// either; so no session is locked under them.
    links: Mutex<BTreeMap<LinkId, LinkEntry>>,
    pub(super) seen: Mutex<SeenNow>,
}

/// A connection.
struct LinkEntry {
    talk: Arc<Mutex<Talk>>,
    /// Where it leads to, once that is known and as long as it counts.
    leads_to: Option<Linked>,
}

/// Whom a connection leads to.
#[derive(Clone)]
pub(super) struct Linked {
    pub(super) peer: Peer,
    pub(super) is_dialed: bool,
    pub(super) way: Way,
}

/// This node's certificate, and what those of others are examined by.
pub(super) struct NodeCertificates {
    pub(super) own: Chain,
    pub(super) names_of: NamesOf,
}

/// What decides where this node stands.
pub(super) struct SeenNow {
    pub(super) members: Members,
    pub(super) nodes: Nodes,
    pub(super) targets: Targets,
    pub(super) rules: Rules,
    pub(super) readiness: Readiness,
    /// `None`: there is no bus.
    pub(super) bus: Option<Listening>,
    pub(super) ticked_ms: u64,
    /// How far the wall clock was ahead of the uptime when it was last set.
    pub(super) wall_ahead_ms: i64,
    /// Up to which number others can know of an origin that this node is: it was there at the start, or was told since.
    pub(super) told: (Origin, u64),
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
        self.members.keep_real(|node| nodes.is_real(node));
        ended
    }

    pub(super) fn hear_of(&mut self, heard: &[Heard], own: &NodeName, said_ms: u64, now_ms: u64) {
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
        let told = history.own();
        Self {
            name,
            set,
            history,
            admission: Admission::new(Arc::clone(&exchanged)),
            exchanged,
            links: Mutex::default(),
            seen: Mutex::new(SeenNow {
                members: Members::default(),
                nodes: Nodes::default(),
                targets: Targets::default(),
                rules,
                readiness: Readiness::at_start(is_complete, now.uptime_ms),
                bus: None,
                ticked_ms: now.uptime_ms,
                wall_ahead_ms: difference(now.wall_ms, now.uptime_ms),
                told,
                renewed_ms: None,
                certificates: None,
            }),
        }
    }

    /// A connection is there from now on.
    pub(super) fn add_link(&self, link: LinkId, talk: Talk) -> Arc<Mutex<Talk>> {
        let talk = Arc::new(Mutex::new(talk));
        let entry = LinkEntry {
            talk: Arc::clone(&talk),
            leads_to: None,
        };
        self.links.lock().insert(link, entry);
        talk
    }

    /// A connection is gone. Where it led to, if it counted.
    pub(super) fn remove_link(&self, link: LinkId) -> Option<Linked> {
        self.links.lock().remove(&link)?.leads_to
    }

    /// Where a connection leads to from now on; `None`: it does not count any more.
    pub(super) fn lead(&self, link: LinkId, leads_to: Option<Linked>) {
        if let Some(entry) = self.links.lock().get_mut(&link) {
            entry.leads_to = leads_to;
        }
    }

    /// The session on a connection.
    pub(super) fn talk(&self, link: LinkId) -> Option<Arc<Mutex<Talk>>> {
        let links = self.links.lock();
        links.get(&link).map(|entry| Arc::clone(&entry.talk))
    }

    /// The sessions on all connections, with those whose peer is not known yet.
    pub(super) fn talks(&self) -> Vec<(LinkId, Arc<Mutex<Talk>>)> {
        let links = self.links.lock();
        let talks = links.iter();
        talks
            .map(|(link, entry)| (*link, Arc::clone(&entry.talk)))
            .collect()
    }

    /// The connections that count, and where they lead to.
    pub(super) fn linked(&self) -> Vec<(LinkId, Linked)> {
        let links = self.links.lock();
        let linked = links.iter();
        linked
            .filter_map(|(link, entry)| Some((*link, entry.leads_to.clone()?)))
            .collect()
    }

    /// The connection to a node that counts.
    pub(super) fn link_to(&self, node: &NodeName) -> Option<(LinkId, Linked)> {
        let mut linked = self.linked().into_iter();
        linked.find(|(_, linked)| linked.peer.node == *node)
    }
}

#[cfg(test)]
impl Mesh {
    pub(crate) fn revocations(&self) -> Vec<crate::revocation::Revocation> {
        let summaries = self.set.summaries(crate::clock::UnixTime::EPOCH);
        let entries = summaries
            .iter()
            .flat_map(|one| self.set.entries(one.section, crate::clock::UnixTime::EPOCH));
        entries.map(|(_, revocation)| revocation).collect()
    }

    /// The connection that counts to this node.
    pub(crate) fn link_of(&self, node: &NodeName) -> Option<LinkId> {
        self.link_to(node).map(|(link, _)| link)
    }

    /// When the last comparison on each connection began that came to its end, and where the peer stood then.
    pub(crate) fn agreed(&self) -> Vec<(LinkId, u64, crate::revocation::State)> {
        let talks = self.talks();
        let agreed = talks.iter().filter_map(|(link, talk)| {
            let talk = talk.lock();
            Some((*link, talk.agreed_ms?, talk.agreed_with))
        });
        agreed.collect()
    }
}
