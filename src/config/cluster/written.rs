//! The `[cluster]` table, as `doorward cluster init` and `join` write it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::cluster::{CertificateFiles, PeerAddress};
use crate::revocation::NodeName;

/// The keys of the table.
pub struct ClusterTable {
    /// The name of the node.
    pub node: NodeName,
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The addresses of other nodes.
    pub peers: Vec<PeerAddress>,
    /// `ca_file`, `cert_file` and `key_file`.
    pub files: [PathBuf; 3],
    /// Whether it is the first node, which starts with an empty journal.
    pub new_cluster: bool,
}

impl ClusterTable {
    /// What the table is called.
    pub const NAME: &'static str = "cluster";

    /// The files of a node as this configuration names them: relative to its folder, where they are below it.
    pub fn files(files: &CertificateFiles, config: &Path) -> [PathBuf; 3] {
        let base_dir = config.parent().unwrap_or(Path::new(""));
        [&files.ca_file, &files.cert_file, &files.key_file]
            .map(|file| file.strip_prefix(base_dir).unwrap_or(file).to_owned())
    }
}

impl fmt::Display for ClusterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &dyn fmt::Display| Value::from(text.to_string());
        let [ca_file, cert_file, key_file] = &self.files;
        writeln!(f, "[{}]", Self::NAME)?;
        writeln!(f, "node      = {}", text(&self.node))?;
        writeln!(f, "listen    = {}", text(&self.listen))?;
        if !self.peers.is_empty() {
            let peers = self.peers.iter().map(|peer| text(peer));
            writeln!(f, "peers     = {}", Value::Array(peers.collect()))?;
        }
        writeln!(f, "ca_file   = {}", text(&ca_file.display()))?;
        writeln!(f, "cert_file = {}", text(&cert_file.display()))?;
        writeln!(f, "key_file  = {}", text(&key_file.display()))?;
        if self.new_cluster {
            writeln!(
                f,
                "# Only for the first start of the first node: then remove it."
            )?;
            writeln!(f, "new_cluster = true")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(folder: &str, peers: &[&str], new_cluster: bool) -> ClusterTable {
        let node = NodeName::parse("a").unwrap();
        let files = CertificateFiles::of(&node, Path::new(folder)).unwrap();
        ClusterTable {
            node,
            listen: "[2001:db8::1]:7946".parse().unwrap(),
            peers: peers
                .iter()
                .map(|peer| PeerAddress::parse(peer).unwrap())
                .collect(),
            files: ClusterTable::files(&files, Path::new("/etc/doorward/doorward.toml")),
            new_cluster,
        }
    }

    #[test]
    fn the_table_reads_as_an_operator_would_write_it() {
        let first = table("/etc/doorward/cluster", &[], true).to_string();
        assert_eq!(
            first,
            "[cluster]\nnode      = \"a\"\nlisten    = \"[2001:db8::1]:7946\"\nca_file   = \"cluster/ca.pem\"\n\
             cert_file = \"cluster/a.pem\"\nkey_file  = \"cluster/a.key\"\n\
             # Only for the first start of the first node: then remove it.\nnew_cluster = true\n"
        );
        let other = table("/srv/a \"b\"", &["10.0.0.1:7946", "b.internal:1"], false).to_string();
        let read: toml::Table = other.parse().unwrap();
        let read = &read["cluster"];
        assert_eq!(read["peers"].as_array().unwrap().len(), 2);
        assert_eq!(read["key_file"].as_str(), Some("/srv/a \"b\"/a.key"));
        assert!(read.get("new_cluster").is_none());
    }
}
