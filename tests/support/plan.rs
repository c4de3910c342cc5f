//! What is said of a cluster before its first start.

use std::path::Path;

use tempfile::TempDir;

use super::certificates::{Authority, put};
use super::cluster::{Cluster, Name};
use super::edge::shop_table;
use super::fake_clock::FakeClock;
use super::{Shop, stateless_bagisto};

/// Names of nodes, and what is not as usual with them.
pub struct Plan {
    pub names: Vec<Name>,
    /// Keys of `[cluster]` and their values; later ones outdo earlier ones. Without a node: of all.
    keys: Vec<(Option<Name>, String, String)>,
    encrypted: bool,
    pub(super) table: Option<String>,
    clocks: Vec<Name>,
}

impl Plan {
    /// Over TLS, in front of the usual shop, with starts that do not wait long.
    pub fn of(names: &[Name]) -> Self {
        let plan = Self {
            names: names.to_vec(),
            keys: Vec::new(),
            encrypted: true,
            table: None,
            clocks: Vec::new(),
        };
        plan.everywhere("bootstrap_timeout", "\"1s\"")
    }

    /// One key of `[cluster]`, for every node.
    pub fn everywhere(mut self, key: &str, value: &str) -> Self {
        self.keys.push((None, key.to_owned(), value.to_owned()));
        self
    }

    /// One key of `[cluster]`, for this node.
    pub fn at(mut self, node: Name, key: &str, value: &str) -> Self {
        let key = (Some(node), key.to_owned(), value.to_owned());
        self.keys.push(key);
        self
    }

    /// Without certificates.
    pub fn in_plain_text(mut self) -> Self {
        self.encrypted = false;
        self
    }

    /// In front of the shop of this table, rather than the usual one that revokes nothing.
    pub fn serving(mut self, table: String) -> Self {
        self.table = Some(table);
        self
    }

    /// With a clock at this node that the test sets.
    pub fn with_clock_at(mut self, node: Name) -> Self {
        self.clocks.push(node);
        self
    }

    /// Everything but the processes.
    pub fn furnish(self) -> Cluster {
        let folder = tempfile::Builder::new()
            .prefix("doorward-cluster-")
            .tempdir()
            .unwrap();
        let authority = Authority::new("a test's cluster");
        put(folder.path(), "ca.pem", &authority.pem(), 0o644);
        for name in &self.names {
            certify(&authority, folder.path(), name);
        }
        let shop = stateless_bagisto();
        let clocks = self.clocks.iter();
        let clocks = clocks.map(|name| (*name, FakeClock::in_folder(folder.path(), name)));
        let clocks = clocks.collect();
        Cluster::furnished(self, shop, authority, folder, clocks)
    }

    /// A cluster of which every node is ready and hears every other; the first one has made it.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let mut cluster = self.furnish();
        let names = cluster.names();
        cluster.found(&names);
        cluster
    }

    /// The `[[shop]]` tables of every node.
    pub(super) fn tables(&self, shop: &Shop) -> String {
        let usual = || shop_table(shop) + "answer = \"local\"\n";
        self.table.clone().unwrap_or_else(usual)
    }

    /// The `[cluster]` table of this node; `more` outdo the keys of the plan.
    pub(super) fn cluster_table(
        &self,
        node: Name,
        peers: &[String],
        folder: &TempDir,
        more: &[(&str, &str)],
    ) -> String {
        let mut keys: Vec<(&str, String)> = vec![
            ("node", format!("{node:?}")),
            ("listen", "\"127.0.0.1:0\"".to_owned()),
            ("peers", format!("{peers:?}")),
        ];
        if self.encrypted {
            let file = |name: String| format!("\"{}\"", folder.path().join(name).display());
            keys.push(("ca_file", file("ca.pem".to_owned())));
            keys.push(("cert_file", file(format!("{node}.pem"))));
            keys.push(("key_file", file(format!("{node}.key"))));
        } else {
            keys.push(("insecure", "true".to_owned()));
        }
        let planned = self.keys.iter();
        let planned = planned.filter(|(whose, _, _)| whose.is_none_or(|whose| whose == node));
        let planned = planned.map(|(_, key, value)| (key.as_str(), value.as_str()));
        for (key, value) in planned.chain(more.iter().copied()) {
            keys.retain(|(known, _)| *known != key);
            keys.push((key, value.to_owned()));
        }
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("[cluster]\n{}", lines.collect::<String>())
    }
}

/// Puts a node's certificate and key into a folder, as NAME.pem and NAME.key.
pub fn certify(authority: &Authority, folder: &Path, name: &str) {
    let identity = authority.issue_node(&[name]);
    put(folder, &format!("{name}.pem"), &identity.pem, 0o644);
    put(folder, &format!("{name}.key"), &identity.key_pem, 0o600);
}
