//! What the operator says of the process.

use std::path::PathBuf;

use super::outline::Outline;
use super::process::listen::Listen;
use super::snapshot::SiteSettings;
use crate::cluster::ClusterSettings;

/// What the operator says of the process.
#[derive(Debug)]
pub struct Settings {
    /// The addresses that customers come to.
    pub listen: Vec<Listen>,
    /// Whether HTTP/2 is spoken without TLS, too, to whoever begins with it (RFC 9113 section 3.3).
    pub h2c: bool,
    /// The address of the operator's listener; `None`: there is none.
    pub operator: Option<Listen>,
    /// The path of the control socket.
    pub control: PathBuf,
    /// Where the journal lives.
    pub data_dir: PathBuf,
    /// What a reload may change.
    pub site: SiteSettings,
    /// The nodes that revocations are shared with; `None`: there is this one only.
    pub cluster: Option<ClusterSettings>,
    /// All that the configuration says, key by key.
    pub outline: Outline,
}
