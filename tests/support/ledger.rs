//! Every logout that was answered, every token that is alive, and whether the nodes agree.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cluster::{Cluster, Name};
use super::edge::Edge;
use super::patience::eventually;
use super::wire::{Answer, request, try_raw};
use super::{Customer, Shop};

/// Whoever has an account may see it.
const PAGE: &str = "/api/shop/customers/profile";

/// What a test was promised.
#[derive(Default)]
pub struct Ledger {
    dead: Vec<Entry>,
    alive: Vec<Entry>,
    customers: usize,
}

/// A token and what became of it.
struct Entry {
    token: String,
    /// Which node answered its logout.
    node: Option<Name>,
    /// For people to read.
    story: String,
}

impl Ledger {
    /// Somebody new logs out at this node. Written down when the answer is a success.
    #[track_caller]
    pub fn log_out(&mut self, cluster: &Cluster, node: Name) -> Answer {
        let customer = self.customer(cluster);
        let answer = customer.log_out(&cluster[node]);
        if answer == 200 {
            self.buries(customer.token(), node);
        }
        answer
    }

    /// As `log_out`, so many times, each with success.
    #[track_caller]
    pub fn log_out_all(&mut self, cluster: &Cluster, node: Name, times: usize) {
        for _ in 0..times {
            let answer = self.log_out(cluster, node);
            assert_eq!(answer, 200, "{node}: {}", answer.text());
        }
    }

    /// Somebody new stays.
    pub fn spare(&mut self, cluster: &Cluster) -> Customer {
        let customer = self.customer(cluster);
        self.alive.push(Entry {
            token: customer.token().to_owned(),
            node: None,
            story: "never logged out".to_owned(),
        });
        customer
    }

    /// Somebody new, of whom nothing is written down.
    pub fn customer(&mut self, cluster: &Cluster) -> Customer {
        self.customers += 1;
        Customer::named(&cluster.shop, &format!("customer-{}", self.customers))
    }

    /// A logout of this token was answered with success at this node.
    pub fn buries(&mut self, token: &str, node: Name) {
        self.alive.retain(|entry| entry.token != token);
        self.dead.push(Entry {
            token: token.to_owned(),
            node: Some(node),
            story: format!("logout {} at {node}", self.dead.len() + 1),
        });
    }

    /// Every live token was cut off by the operator.
    pub fn buries_all(&mut self) {
        self.dead.append(&mut self.alive);
    }

    /// How many logouts were answered with success.
    pub fn logouts(&self) -> usize {
        self.dead.len()
    }

    /// At this moment: whatever was logged out is refused at every node that is ready, and accepted at none; whoever
    /// never logged out is refused at none that is ready.
    #[track_caller]
    pub fn check(&self, cluster: &Cluster) {
        for name in cluster.running() {
            self.check_at(cluster, name);
        }
    }

    /// As `check`, of one node.
    #[track_caller]
    pub fn check_at(&self, cluster: &Cluster, name: Name) {
        self.check_except_the_last_at(cluster, name, 0);
    }

    /// As `check_at`, but for so many of the last logouts, which may still be on their way.
    #[track_caller]
    pub fn check_except_the_last_at(&self, cluster: &Cluster, name: Name, last: usize) {
        let settled = self.dead.len().saturating_sub(last);
        refuses(cluster, name, self.dead[..settled].iter(), true);
        self.spares(cluster, name);
    }

    /// As `check_at`, of the logouts that the node answered itself: nothing that happens elsewhere touches those.
    #[track_caller]
    pub fn check_own_at(&self, cluster: &Cluster, name: Name) {
        let own = self.dead.iter();
        refuses(
            cluster,
            name,
            own.filter(|entry| entry.node == Some(name)),
            false,
        );
        self.spares(cluster, name);
    }

    #[track_caller]
    fn spares(&self, cluster: &Cluster, name: Name) {
        for entry in &self.alive {
            let was_ready = is_ready(cluster, name);
            let (answer, _) = visit(&cluster[name], &entry.token);
            let fits = answer == 200 || answer == 503 && !(was_ready && is_ready(cluster, name));
            let told = || told(cluster, name, entry, &answer);
            assert!(fits, "an innocent token was refused: {}", told());
        }
    }

    /// Before patience runs out every running node is ready and refuses all that was logged out; then `check`.
    #[track_caller]
    pub fn converges(&self, cluster: &Cluster) {
        for name in cluster.running() {
            eventually(|| is_ready(cluster, name) && self.missing_at(cluster, name) == 0);
        }
        self.check(cluster);
    }

    /// How many of the dead tokens this node does not refuse.
    #[track_caller]
    pub fn missing_at(&self, cluster: &Cluster, name: Name) -> usize {
        let refused = |entry: &&Entry| visit(&cluster[name], &entry.token).0 == 401;
        self.dead.len() - self.dead.iter().filter(refused).count()
    }
}

/// A node refuses these tokens, as far as it is ready, and lets none through in any case, unless it says itself that it
/// may lack some of them.
#[track_caller]
fn refuses<'e>(
    cluster: &Cluster,
    name: Name,
    entries: impl Iterator<Item = &'e Entry>,
    may_lack_some: bool,
) {
    let mut forbidden = HashSet::new();
    for entry in entries {
        let before = cluster.told_by(name);
        let (answer, target) = visit(&cluster[name], &entry.token);
        if may_lack_some && before.starts_with("stale") {
            continue;
        }
        let waits = answer == 503 && !(before.starts_with("ready") && is_ready(cluster, name));
        let told = || told(cluster, name, entry, &answer);
        assert!(
            answer == 401 || waits,
            "{before}, and a dead token was not refused: {}",
            told()
        );
        forbidden.insert(target);
    }
    let seen = cluster.shop.seen();
    let reached = seen.iter().filter(|seen| forbidden.contains(&seen.target));
    assert_eq!(reached.count(), 0, "dead tokens reached the shop by {name}");
}

/// Ready, and not stale: a stale one serves without what it can't know.
#[track_caller]
fn is_ready(cluster: &Cluster, name: Name) -> bool {
    cluster.told_by(name).starts_with("ready")
}

/// A visit that no other can be taken for: its answer and its target.
#[track_caller]
fn visit(edge: &Edge, token: &str) -> (Answer, String) {
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let target = format!("{PAGE}?visit={}", VISITS.fetch_add(1, Ordering::Relaxed));
    (get(edge, token, &target), target)
}

#[track_caller]
fn get(edge: &Edge, token: &str, target: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    match try_raw(edge.address(), &request("GET", target, &headers, b"")) {
        Ok(answer) => answer,
        Err(fault) => panic!("no answer: {fault}"),
    }
}

fn told(cluster: &Cluster, name: Name, entry: &Entry, answer: &Answer) -> String {
    format!(
        "{} is answered {} by {name} ({}): {}",
        entry.story,
        answer.status,
        cluster.told_by(name),
        answer.text()
    )
}
