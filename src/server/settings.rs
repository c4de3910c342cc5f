//! The settings of the process.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::outline::Outline;
use super::process::listen::Listen;
use super::snapshot::SnapshotSettings;
use crate::cluster::ClusterSettings;

/// The settings of the process.
#[derive(Debug)]
pub struct Settings {
    /// The public addresses.
    pub listen: Vec<Listen>,
    /// Whether HTTP/2 without TLS is accepted, by prior knowledge (RFC 9113 section 3.3).
    pub h2c: bool,
    /// The address of the operator listener; `None`: no listener.
    pub operator: Option<SocketAddr>,
    /// The address of the health listener; `None`: no listener.
    pub health: Option<SocketAddr>,
    /// The path of the control socket.
    pub control: PathBuf,
    /// The folder of the journal.
    pub data_dir: PathBuf,
    /// What a reload may change.
    pub site: SnapshotSettings,
    /// The cluster that revocations are shared with; `None`: no cluster.
    pub cluster: Option<ClusterSettings>,
    /// The configuration, key by key.
    pub outline: Outline,
}

impl Settings {
    /// Whether customers can use TLS: here, or to a proxy in front.
    pub fn is_encrypted(&self) -> bool {
        self.listen.iter().any(|listen| listen.tls) || !self.site.trusted_proxies.is_empty()
    }
}
