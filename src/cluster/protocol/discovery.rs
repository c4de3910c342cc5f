//! The addresses of other nodes, and the nodes that were found there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::bus::BusView;
use super::peer_view::PeerView;
use crate::revocation::NodeName;

/// The addresses of the configuration, names looked up.
#[derive(Default)]
pub(crate) struct Discovery {
    targets: BTreeMap<SocketAddr, DialTarget>,
    /// Whether every name could be looked up.
    is_whole: bool,
}

#[derive(Default)]
struct DialTarget {
    is_tried: bool,
    /// This node itself answers there.
    is_self: bool,
    node: Option<NodeName>,
}

/// No other node is at this address.
pub(crate) struct NotAPeer;

/// What the addresses come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reachability {
    /// How many there are beside this node's own.
    pub(crate) others: usize,
    /// Whether all of them were dialed.
    pub(crate) all_tried: bool,
    /// Whether there is a connection to all of them.
    pub(crate) all_linked: bool,
    /// What is known of the bus; `None`: there is none.
    pub(crate) bus: Option<BusView>,
}

impl Discovery {
    /// The addresses from now on. Whether some are gone.
    pub(crate) fn set(&mut self, addresses: &[SocketAddr], is_whole: bool) -> bool {
        self.is_whole = is_whole;
        let before = self.targets.len();
        self.targets
            .retain(|address, _| addresses.contains(address));
        let are_some_gone = self.targets.len() < before;
        for address in addresses {
            self.targets.entry(*address).or_default();
        }
        are_some_gone
    }

    /// The nodes that were found at the addresses.
    pub(crate) fn nodes(&self) -> Vec<NodeName> {
        let nodes = self
            .targets
            .values()
            .filter_map(|target| target.node.clone());
        nodes.collect()
    }

    /// Whether a node was found at every address.
    pub(crate) fn are_found(&self) -> bool {
        let is_found = |target: &DialTarget| target.is_self || target.node.is_some();
        self.is_whole && self.targets.values().all(is_found)
    }

    /// It was dialed, with whatever outcome.
    pub(crate) fn tried(&mut self, address: SocketAddr) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.is_tried = true;
        }
    }

    /// This node answered there.
    pub(crate) fn found(&mut self, address: Option<SocketAddr>, node: &NodeName) {
        if let Some(target) = address.and_then(|address| self.targets.get_mut(&address)) {
            target.is_tried = true;
            target.node = Some(node.clone());
        }
    }

    /// It is our own address.
    pub(crate) fn is_self(&mut self, address: Option<SocketAddr>) {
        if let Some(target) = address.and_then(|address| self.targets.get_mut(&address)) {
            target.is_tried = true;
            target.is_self = true;
        }
    }

    /// The node that was found there last, if any.
    pub(crate) fn node_at(&self, address: SocketAddr) -> Result<Option<NodeName>, NotAPeer> {
        match self.targets.get(&address) {
            Some(target) if !target.is_self => Ok(target.node.clone()),
            Some(_) | None => Err(NotAPeer),
        }
    }

    /// How many addresses of others there are.
    pub(crate) fn others(&self) -> usize {
        self.targets
            .values()
            .filter(|target| !target.is_self)
            .count()
    }

    /// How far they are reached by these connections.
    pub(crate) fn reached(&self, views: &[PeerView]) -> Reachability {
        let is_linked = |target: &DialTarget| {
            let node = target.node.as_ref();
            target.is_self || node.is_some_and(|node| views.iter().any(|view| view.node == *node))
        };
        Reachability {
            others: self.others(),
            all_tried: self.is_whole && self.targets.values().all(|target| target.is_tried),
            all_linked: self.is_whole && self.targets.values().all(is_linked),
            bus: None,
        }
    }
}
