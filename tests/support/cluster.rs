//! Several nodes in front of one shop, each pair of them joined by two links that the test rules.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Index, IndexMut};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use super::Shop;
use super::certificates::Authority;
use super::edge::{Edge, Outcome};
use super::fake_clock::FakeClock;
use super::link::{Condition, Flow, Link};
use super::patience::eventually;
use super::plan::Plan;
use super::wire::{request, try_raw};

/// The name of a node.
pub type Name = &'static str;

/// Nodes, links and a shop; dropping it ends them all.
pub struct Cluster {
    pub shop: Arc<Shop>,
    pub authority: Authority,
    plan: Plan,
    folder: TempDir,
    /// What a node reads when it starts the next time.
    configs: BTreeMap<Name, String>,
    nodes: BTreeMap<Name, Node>,
    links: BTreeMap<(Name, Name), Link>,
    clocks: BTreeMap<Name, FakeClock>,
    /// Every process that had such a clock.
    misled: Vec<u32>,
}

/// A node that was started once.
struct Node {
    edge: Edge,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// Stopped in its tracks, by a signal.
    Paused,
    Over,
}

impl Cluster {
    /// Nodes with these names.
    pub fn of(names: &[Name]) -> Plan {
        Plan::of(names)
    }

    pub(super) fn furnished(
        plan: Plan,
        shop: Shop,
        authority: Authority,
        folder: TempDir,
        clocks: BTreeMap<Name, FakeClock>,
    ) -> Self {
        let names = &plan.names;
        let pairs = names
            .iter()
            .flat_map(|from| names.iter().map(move |to| (*from, *to)));
        let pairs = pairs.filter(|(from, to)| from != to);
        let links = pairs.map(|pair| (pair, Link::new())).collect();
        let mut cluster = Self {
            shop: Arc::new(shop),
            authority,
            plan,
            folder,
            configs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            links,
            clocks,
            misled: Vec::new(),
        };
        for name in cluster.names() {
            cluster.configure(name, &[]);
        }
        cluster
    }

    /// Every node's name, started or not.
    pub fn names(&self) -> Vec<Name> {
        self.plan.names.clone()
    }

    /// The nodes that run and answer.
    pub fn running(&self) -> Vec<Name> {
        self.nodes_that_are(Life::Running)
    }

    /// The nodes that were stopped in their tracks.
    pub fn paused(&self) -> Vec<Name> {
        self.nodes_that_are(Life::Paused)
    }

    /// The nodes that have run and do no more.
    pub fn over(&self) -> Vec<Name> {
        self.nodes_that_are(Life::Over)
    }

    fn nodes_that_are(&self, life: Life) -> Vec<Name> {
        let nodes = self.nodes.iter();
        let nodes = nodes.filter(|(_, node)| node.life == life);
        nodes.map(|(name, _)| *name).collect()
    }

    /// The folder of the certificates: ca.pem, NAME.pem, NAME.key.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What this node's `[cluster]` says besides the plan, once it starts again or is told to reload.
    pub fn configure(&mut self, name: Name, keys: &[(&str, &str)]) {
        let peers: Vec<_> = self
            .links_from(name)
            .map(|link| link.address().to_string())
            .collect();
        let table = self.plan.cluster_table(name, &peers, &self.folder, keys);
        let config = table + self.plan.tables(&self.shop).as_str();
        if let Some(node) = self.nodes.get(name) {
            node.edge.configure(&config);
        }
        self.configs.insert(name, config);
    }

    /// Serves the shops of this table from the next `configure` of a node on.
    pub fn serves(&mut self, table: String) {
        self.plan.table = Some(table);
    }

    /// Starts these nodes for the first time, the first one as the first of all, and waits until they are a cluster.
    #[track_caller]
    pub fn found(&mut self, names: &[Name]) {
        self.configure(names[0], &[("new_cluster", "true")]);
        self.start(names);
        self.configure(names[0], &[]); // once only
        self.form(names);
    }

    /// Starts these nodes, and waits until they accept connections; they may not be ready to serve.
    #[track_caller]
    pub fn start(&mut self, names: &[Name]) {
        self.begin(names);
        for name in names {
            if let Err(outcome) = self.comes_up(name) {
                panic!(
                    "{name} did not start: {:?}\n{}",
                    outcome.code, outcome.stderr
                );
            }
        }
    }

    /// Starts a node that is expected to refuse; why it did.
    #[track_caller]
    pub fn refuses_to_start(&mut self, name: Name) -> Outcome {
        self.begin(&[name]);
        match self.comes_up(name) {
            Ok(()) => panic!("{name} started"),
            Err(outcome) => outcome,
        }
    }

    /// Starts these nodes, and waits only until others can reach them.
    #[track_caller]
    pub fn begin(&mut self, names: &[Name]) {
        for name in names {
            self.links_to(name).for_each(Link::lead_somewhere_soon);
            self.spawn(name);
        }
        for name in names {
            let edge = &self[name];
            if edge.says("service=gossip") {
                let address = edge.address_of("gossip");
                self.links_to(name).for_each(|link| link.lead_to(address));
            }
        }
    }

    /// Waits until a node that was begun accepts connections.
    #[track_caller]
    pub fn comes_up(&mut self, name: Name) -> Result<(), Outcome> {
        let up = self[name].becomes_ready();
        if up.is_err() {
            self.is_over(name);
        }
        up
    }

    fn spawn(&mut self, name: Name) {
        let life = Life::Running;
        if let Some(node) = self.nodes.get_mut(name) {
            node.edge.begin_again();
            node.life = life;
        } else {
            let environment = self.clocks.get(name).map(FakeClock::environment);
            let edge = Edge::begin(&environment.unwrap_or_default(), &self.configs[name]);
            self.nodes.insert(name, Node { edge, life });
        }
        if self.clocks.contains_key(name) {
            self.misled.push(self[name].pid());
        }
    }

    /// Waits until these nodes are ready and each is connected to every other of them.
    #[track_caller]
    pub fn form(&self, names: &[Name]) {
        for name in names {
            self.comes_to(name, &format!("ready; {} of", names.len() - 1));
        }
    }

    /// Waits until a node tells of the cluster in words that begin so: `stale`, `ready; 2 of`.
    #[track_caller]
    pub fn comes_to(&self, name: &str, words: &str) {
        eventually(|| self.told_by(name).starts_with(words));
    }

    /// What /readyz says of the cluster: `ready; 2 of 2 peers`.
    #[track_caller]
    pub fn told_by(&self, name: &str) -> String {
        let verbose = self[name].ask_operator("/readyz?verbose").text();
        let mut lines = verbose.lines();
        let told = lines.find_map(|line| Some(line.split_once("cluster: ")?.1.to_owned()));
        told.unwrap_or_default()
    }

    #[track_caller]
    pub fn is_ready(&self, name: &str) -> bool {
        self[name].ask_operator("/readyz") == 200
    }

    /// The sum of the samples of a node's metrics whose names and labels begin so.
    #[track_caller]
    pub fn metric(&self, name: &str, begins: &str) -> f64 {
        let metrics = self[name].metrics();
        let samples = metrics.lines().filter(|line| line.starts_with(begins));
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Whether a line of this node's log has all of these words.
    pub fn logged(&self, name: &str, words: &[&str]) -> bool {
        let lines = self[name].log_lines();
        lines
            .iter()
            .any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// Asks a node to end, and waits for it.
    #[track_caller]
    pub fn stop(&mut self, name: Name) {
        assert_eq!(self[name].stop(), Some(0), "{name}");
        self.is_over(name);
    }

    /// Ends a node as a power cut would.
    pub fn kill(&mut self, name: Name) {
        self[name].kill_dash_nine();
        self.is_over(name);
    }

    /// Kills and starts these nodes in turn; all of them are ready again before the next one goes.
    #[track_caller]
    pub fn restart_in_turn(&mut self, names: &[Name]) {
        for name in names {
            self.kill(name);
            self.start(&[name]);
            self.form(names);
        }
    }

    fn is_over(&mut self, name: Name) {
        self.links_to(name).for_each(Link::lead_nowhere);
        self.nodes.get_mut(name).unwrap().life = Life::Over;
    }

    /// Stops a node in its tracks, until `resume`.
    #[track_caller]
    pub fn pause(&mut self, name: Name) {
        self[name].signal("STOP");
        self.nodes.get_mut(name).unwrap().life = Life::Paused;
    }

    #[track_caller]
    pub fn resume(&mut self, name: Name) {
        self[name].signal("CONT");
        self.nodes.get_mut(name).unwrap().life = Life::Running;
    }

    /// Takes the journal of a node that is down, and the note of how far it was written. The operator makes an empty
    /// one.
    pub fn lose_journal(&self, name: &str) {
        for file in ["data/journal.redb", "data/journal.mark"] {
            fs::remove_file(self[name].path(file)).unwrap();
        }
        assert_eq!(self[name].command(&["init"]).code, Some(0));
    }

    /// The clock of a node that was planned with one.
    pub fn clock(&self, name: &str) -> &FakeClock {
        &self.clocks[name]
    }

    /// The link by which one node calls another.
    pub fn link(&self, from: Name, to: Name) -> &Link {
        &self.links[&(from, to)]
    }

    /// What becomes of everything between two nodes.
    pub fn between(&self, one: Name, other: Name, condition: Condition) {
        self.link(one, other).becomes(condition);
        self.link(other, one).becomes(condition);
    }

    /// Nothing of what one node sends to the other arrives before it is healed.
    pub fn silence(&self, one: Name, other: Name) {
        let frozen = Condition::FrozenOneWay;
        self.link(one, other).becomes(frozen(Flow::Outward));
        self.link(other, one).becomes(frozen(Flow::Inward));
    }

    /// Cuts everything between the nodes of one side and those of the other.
    pub fn partition(&self, one_side: &[Name], other_side: &[Name]) {
        for one in one_side {
            for other in other_side {
                self.between(one, other, Condition::Cut);
            }
        }
    }

    /// Everything arrives again.
    pub fn heal(&self) {
        for link in self.links.values() {
            link.becomes(Condition::Healthy);
        }
    }

    fn links_to(&self, name: Name) -> impl Iterator<Item = &Link> {
        let links = self.links.iter();
        let links = links.filter(move |((_, to), _)| *to == name);
        links.map(|(_, link)| link)
    }

    fn links_from(&self, name: Name) -> impl Iterator<Item = &Link> {
        let links = self.links.iter();
        let links = links.filter(move |((from, _), _)| *from == name);
        links.map(|(_, link)| link)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.misled.iter().copied().for_each(FakeClock::sweep_after);
        if !thread::panicking() {
            return;
        }
        let ask = request("GET", "/readyz?verbose", &[("Host", "localhost")], b"");
        for name in self.running() {
            let told = try_raw(self[name].operator(), &ask).map(|answer| answer.text());
            eprintln!(
                "--- what {name} says at the end\n{}",
                told.unwrap_or_default()
            );
        }
    }
}

impl Index<&str> for Cluster {
    type Output = Edge;

    #[track_caller]
    fn index(&self, name: &str) -> &Edge {
        let node = self.nodes.get(name);
        &node
            .unwrap_or_else(|| panic!("{name} was never started"))
            .edge
    }
}

impl IndexMut<&str> for Cluster {
    #[track_caller]
    fn index_mut(&mut self, name: &str) -> &mut Edge {
        let node = self.nodes.get_mut(name);
        &mut node
            .unwrap_or_else(|| panic!("{name} was never started"))
            .edge
    }
}
