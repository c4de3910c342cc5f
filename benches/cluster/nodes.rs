//! The three nodes, what they stand in front of, and the wires between them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use doorward::clock::UnixTime;
use doorward::revocation::{Journal, Progress, Revocation};
use tempfile::TempDir;

use crate::certificates::{Authority, put};
use crate::customers::Customers;
use crate::link::{Condition, Link};
use crate::node::{Node, Started};
use crate::shop;

/// The node at which customers log out, the one whose wires can be cut, and the third.
pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// How many rows go into one transaction of a journal.
const ROWS_AT_ONCE: usize = 8192;

/// Nodes with certificates of one authority.
pub struct Nodes {
    pub customers: Customers,
    pub all: [Node; 3],
    folder: TempDir,
    shop: SocketAddr,
    /// Each between `B` and another node, with the numbers of where it begins and where it ends.
    links: Vec<(usize, usize, Link)>,
}

impl Nodes {
    /// None of them is started.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let authority = Authority::new("a benchmark's cluster");
        put(folder.path(), "ca.pem", &authority.pem(), 0o644);
        for name in NAMES {
            let identity = authority.issue_node(&[name]);
            put(folder.path(), &format!("{name}.pem"), &identity.pem, 0o644);
            put(
                folder.path(),
                &format!("{name}.key"),
                &identity.key_pem,
                0o600,
            );
        }
        let customers = Customers::new();
        put(folder.path(), "jwt.secret", &customers.secret(), 0o600);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        let all = [(A, 1), (B, 2), (C, 3)]
            .map(|(one, number)| Node::new(folder.path(), NAMES[one], number));
        Self {
            customers,
            all,
            folder,
            shop: shop::open(),
            links: Vec::new(),
        }
    }

    /// From its next start on this node calls those.
    pub fn configure(&self, one: usize, peers: &[usize]) {
        let peers: Vec<_> = peers
            .iter()
            .map(|peer| self.way(one, *peer).to_string())
            .collect();
        let (folder, shop) = (self.folder.path().display(), self.shop);
        let Node { name, gossip, .. } = &self.all[one];
        self.all[one].furnish(&format!(
            r#"[limits]
connections_per_client = 10000

[[shop]]
name = "main"
preset = "bagisto"
upstream = ["{shop}"]
answer = "local"
token.algorithms = ["HS256"]
token.secret_file = "{folder}/jwt.secret"

[cluster]
node = "{name}"
listen = "{gossip}"
peers = {peers:?}
ca_file = "{folder}/ca.pem"
cert_file = "{folder}/{name}.pem"
key_file = "{folder}/{name}.key"
ack = "one"
"#
        ));
    }

    /// From its next start on every node calls both of the others.
    pub fn configure_mesh(&self) {
        for [one, first, second] in [[A, B, C], [B, A, C], [C, A, B]] {
            self.configure(one, &[first, second]);
        }
    }

    /// Lays wires to and from `B` that can be cut; to be used from the next start on.
    pub fn lay_links(&mut self) {
        for (from, to) in [(A, B), (B, A), (C, B), (B, C)] {
            let link = Link::new();
            link.lead_to(self.all[to].gossip);
            self.links.push((from, to, link));
        }
    }

    /// What becomes of everything between `B` and the others.
    pub fn links_become(&self, condition: Condition) {
        for (_, _, link) in &self.links {
            link.becomes(condition);
        }
    }

    fn way(&self, from: usize, to: usize) -> SocketAddr {
        let mut links = self.links.iter();
        let link = links.find(|(begins, ends, _)| (*begins, *ends) == (from, to));
        link.map_or(self.all[to].gossip, |(_, _, link)| link.address())
    }

    /// Stops a node and starts it again; how long the start took.
    pub async fn restart(&mut self, one: usize) -> Started {
        self.all[one].stop().await;
        self.all[one].start().await
    }

    /// Waits until two nodes hold the same number of revocations, and says how many those are.
    pub async fn agree(&self, one: usize, other: usize) -> u64 {
        let since = doorward::clock::instant();
        loop {
            let [one, there] = [&self.all[one], &self.all[other]];
            let count = one.revocations().await;
            if count == there.revocations().await {
                return count;
            }
            one.must_go_on(since);
            tokio::time::sleep(crate::node::LOOK).await;
        }
    }

    /// Adds to the journal of a node that is not running what it would have written had it taken these itself.
    pub fn write_journal(&self, one: usize, revocations: &[Revocation]) {
        let mut journal = Journal::open(&self.all[one].data()).expect("it was made");
        let origin = journal.notes().origin;
        let known = journal.notes().vector.get(&origin).copied();
        let mut number = known.unwrap_or_default();
        for rows in revocations.chunks(ROWS_AT_ONCE) {
            number += rows.len() as u64;
            let progress = Progress {
                reached: vec![(origin, number)],
                is_complete: true,
                ..Progress::default()
            };
            let written = journal.write_with(rows.iter(), &progress, UnixTime::EPOCH);
            written.expect("the disk takes a row");
        }
    }
}
