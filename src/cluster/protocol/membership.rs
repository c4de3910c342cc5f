//! The members of the cluster: nodes that introduced themselves here, and nodes whose certificates were relayed.
//!
//! An origin is counted only if its own node introduced it, over a connection with a certificate of that name or on the
//! bus under that name, and if the origin was made for the name: no node can take the origin of another by being first.
//! So a peer can't invent other nodes, and what is counted is bounded: a node has few origins, and a cluster has a
//! limited number of nodes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::revocation::{NodeName, Origin};

/// How many nodes are known at the most.
pub(crate) const NODES_MAX: usize = 1024;

/// How many origins of one node are counted at the most: that of now, and the last ones before it, whose rows others may
/// lack still.
pub(crate) const ORIGINS_A_NODE: usize = 3;

/// How long an origin is counted after its node has become another one: longer than sets stay uncompared.
const FORMER_MS: u64 = 60_000;

/// How long the origins of a node are counted that was not heard: a day.
const ABSENT_MS: u64 = 24 * 3_600_000;

/// A certificate in DER, followed by those between it and an authority.
pub(crate) type Chain = Vec<Bytes>;

/// Tells the names of nodes that a chain certifies; none, if it is not valid here.
pub(crate) type NamesOf = Box<dyn Fn(&Chain) -> Vec<NodeName> + Send + Sync>;

/// The nodes that are known.
#[derive(Default)]
pub(crate) struct Membership {
    introduced: BTreeMap<NodeName, KnownNode>,
    owners: BTreeMap<Origin, NodeName>,
    /// What was relayed of nodes, by their names.
    certificates: BTreeMap<NodeName, Chain>,
}

struct KnownNode {
    /// The one of now last.
    origins: Vec<Origin>,
    /// When the last of them was introduced.
    since_ms: u64,
    /// When the node was there last.
    seen_ms: u64,
}

/// Why a node is not taken for an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntroductionError {
    /// The origin is not one of this node's.
    Foreign,
    /// All places are taken by nodes that are there.
    Crowded,
}

/// What an introduction changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IntroductionChange {
    /// Whether the origin is a new one.
    pub(crate) is_new: bool,
    /// The origins whose place it takes.
    pub(crate) forgotten: Vec<Origin>,
}

impl Membership {
    /// The nodes that a journal names.
    pub(crate) fn from_journal<'a>(
        introduced: impl IntoIterator<Item = (&'a Origin, &'a String)>,
        now_ms: u64,
    ) -> Self {
        let mut nodes = Self::default();
        for (origin, name) in introduced {
            if let Ok(name) = NodeName::parse(name) {
                let _ = nodes.introduce(&name, *origin, |_| false, now_ms); // too many are too old
            }
        }
        nodes
    }

    /// A node says, as its certificate allows, that it is this origin. Those that are `present` keep their places.
    pub(crate) fn introduce(
        &mut self,
        name: &NodeName,
        origin: Origin,
        is_present: impl Fn(&NodeName) -> bool,
        now_ms: u64,
    ) -> Result<IntroductionChange, IntroductionError> {
        if !origin.belongs_to(name.as_str()) {
            return Err(IntroductionError::Foreign);
        }
        let mut change = IntroductionChange::default();
        if !self.introduced.contains_key(name) && self.introduced.len() >= NODES_MAX {
            let absent = self.introduced.iter().filter(|(name, _)| !is_present(name));
            let oldest = absent.min_by_key(|(_, node)| node.seen_ms);
            let oldest = oldest
                .map(|(name, _)| name.clone())
                .ok_or(IntroductionError::Crowded)?;
            change.forgotten = self.forget(&oldest);
        }
        let node = self.introduced.entry(name.clone()).or_insert(KnownNode {
            origins: Vec::new(),
            since_ms: now_ms,
            seen_ms: now_ms,
        });
        node.seen_ms = now_ms;
        if node.origins.last() != Some(&origin) {
            node.since_ms = now_ms;
        }
        node.origins.retain(|known| *known != origin);
        node.origins.push(origin);
        if node.origins.len() > ORIGINS_A_NODE {
            let oldest = node.origins.remove(0);
            self.owners.remove(&oldest);
            change.forgotten.push(oldest);
        }
        change.is_new = self.owners.insert(origin, name.clone()).is_none();
        Ok(change)
    }

    /// Whose origin it is.
    pub(crate) fn owner(&self, origin: &Origin) -> Option<&NodeName> {
        self.owners.get(origin)
    }

    /// Whether a node of this name exists: it was here, or has a certificate.
    pub(crate) fn is_real(&self, name: &NodeName) -> bool {
        self.introduced.contains_key(name) || self.certificates.contains_key(name)
    }

    /// Forgets a node, all names of its certificate with it, and says which origins it was.
    pub(crate) fn forget(&mut self, name: &NodeName) -> Vec<Origin> {
        if let Some(chain) = self.certificates.remove(name) {
            self.certificates.retain(|_, other| *other != chain);
        }
        let node = self.introduced.remove(name);
        let origins = node.map(|node| node.origins).unwrap_or_default();
        for origin in &origins {
            self.owners.remove(origin);
        }
        origins
    }

    /// The origins that ended, which are counted no more.
    pub(crate) fn prune(
        &mut self,
        is_present: impl Fn(&NodeName) -> bool,
        now_ms: u64,
    ) -> Vec<Origin> {
        let mut ended = Vec::new();
        let mut absent = Vec::new();
        for (name, node) in &mut self.introduced {
            if is_present(name) {
                node.seen_ms = now_ms;
            }
            if now_ms.saturating_sub(node.seen_ms) >= ABSENT_MS {
                absent.push(name.clone());
            } else if now_ms.saturating_sub(node.since_ms) >= FORMER_MS {
                let former = node.origins.len().saturating_sub(1);
                ended.extend(node.origins.drain(..former));
            }
        }
        for origin in &ended {
            self.owners.remove(origin);
        }
        for name in absent {
            ended.extend(self.forget(&name));
        }
        ended
    }

    /// A certificate was relayed that certifies this name. Whether that is news.
    pub(crate) fn certify(&mut self, name: &NodeName, chain: &Chain) -> bool {
        let is_new = !self.certificates.contains_key(name);
        if is_new && self.certificates.len() >= NODES_MAX {
            return false;
        }
        self.certificates.insert(name.clone(), chain.clone());
        is_new
    }

    /// Whether this very chain is known.
    pub(crate) fn has_chain(&self, chain: &Chain) -> bool {
        self.certificates.values().any(|known| known == chain)
    }

    /// Every chain that was relayed, once.
    pub(crate) fn chains(&self) -> Vec<Chain> {
        let mut chains: Vec<_> = self.certificates.values().cloned().collect();
        chains.sort_unstable();
        chains.dedup();
        chains
    }

    /// Keeps the certificates only that certify their names still.
    pub(crate) fn examine(&mut self, names_of: &NamesOf) {
        self.certificates
            .retain(|name, chain| names_of(chain).contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> NodeName {
        NodeName::parse(&format!("n{number}")).unwrap()
    }

    /// An origin of that node.
    fn origin(of: usize, number: usize) -> Origin {
        Origin::bound((number as u64).to_le_bytes(), name(of).as_str())
    }

    #[test]
    fn a_node_is_few_origins_however_often_it_begins_anew_attacks_a13() {
        let mut nodes = Membership::default();
        for number in 0..10_000 {
            let change = nodes.introduce(&name(1), origin(1, number), |_| true, number as u64);
            let change = change.unwrap();
            assert!(change.is_new);
            let is_full = number >= ORIGINS_A_NODE;
            assert_eq!(change.forgotten.len(), usize::from(is_full));
            assert!(nodes.owners.len() <= ORIGINS_A_NODE);
        }
        let ended = nodes.prune(|_| true, 9_999 + FORMER_MS);
        assert_eq!(ended, [origin(1, 9_997), origin(1, 9_998)]);
        assert_eq!(nodes.owner(&origin(1, 9_999)), Some(&name(1)));
        assert_eq!(nodes.owners.len(), 1);
    }

    #[test]
    fn a_node_that_claims_the_origin_of_another_first_does_not_get_it() {
        let mut nodes = Membership::default();
        let other = nodes.introduce(&name(2), origin(1, 1), |_| true, 0);
        assert_eq!(
            other,
            Err(IntroductionError::Foreign),
            "though it is there first"
        );
        let is_there = |_: &NodeName| true;
        nodes
            .introduce(&name(1), origin(1, 1), is_there, 1)
            .unwrap();
        let again = nodes.introduce(&name(1), origin(1, 1), is_there, 2);
        assert_eq!(again, Ok(IntroductionChange::default()));
        assert_eq!(nodes.owner(&origin(1, 1)), Some(&name(1)));
        assert_eq!(nodes.forget(&name(1)), [origin(1, 1)]);
    }

    #[test]
    fn places_are_taken_from_those_who_are_not_there() {
        let mut nodes = Membership::default();
        for number in 0..NODES_MAX {
            let taken = nodes.introduce(
                &name(number),
                origin(number, number),
                |_| true,
                number as u64,
            );
            taken.unwrap();
        }
        let next = NODES_MAX;
        let crowded = nodes.introduce(&name(next), origin(next, next), |_| true, 9_999);
        assert_eq!(crowded, Err(IntroductionError::Crowded));
        let is_present = |of: &NodeName| *of != name(7) && *of != name(9);
        let change = nodes.introduce(&name(next), origin(next, next), is_present, 9_999);
        assert_eq!(change.unwrap().forgotten, [origin(7, 7)]);
        assert_eq!(nodes.introduced.len(), NODES_MAX);
    }

    #[test]
    fn who_was_not_there_for_a_day_is_forgotten() {
        let mut nodes = Membership::default();
        nodes
            .introduce(&name(1), origin(1, 1), |_| true, 0)
            .unwrap();
        nodes
            .introduce(&name(2), origin(2, 2), |_| true, 0)
            .unwrap();
        let is_present = |of: &NodeName| *of == name(2);
        assert_eq!(nodes.prune(is_present, ABSENT_MS - 1), []);
        assert_eq!(nodes.prune(is_present, ABSENT_MS), [origin(1, 1)]);
        assert!(nodes.is_real(&name(2)) && !nodes.is_real(&name(1)));
    }

    #[test]
    fn a_certificate_makes_a_name_real_as_long_as_it_is_valid() {
        let mut nodes = Membership::default();
        let chain: Chain = vec![Bytes::from_static(b"n1")];
        assert!(nodes.certify(&name(1), &chain));
        assert!(!nodes.certify(&name(1), &chain));
        assert!(nodes.is_real(&name(1)) && nodes.has_chain(&chain));
        assert_eq!(nodes.chains(), [chain]);
        let no_names: NamesOf = Box::new(|_| Vec::new());
        nodes.examine(&no_names);
        assert!(!nodes.is_real(&name(1)));
    }
}
