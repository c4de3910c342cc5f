//! The settings of the cluster.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bus::Bus;
use super::peer_address::PeerAddress;
use crate::revocation::{AckPolicy, NodeName, SumKey};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Everything of `[cluster]`.
#[derive(Debug)]
pub struct ClusterSettings {
    /// What this node is called.
    pub node: NodeName,
    /// Where other nodes come to.
    pub listen: SocketAddr,
    /// Where other nodes are.
    pub peers: Vec<PeerAddress>,
    /// How nodes know each other.
    pub security: Security,
    /// Which nodes must have a revocation before a logout is answered.
    pub ack: AckPolicy,
    /// Whether this is the first boot of the first node: it may serve with an empty journal.
    pub new_cluster: bool,
    /// What is done while a peer that may take logouts can't be heard.
    pub on_stale: StalePolicy,
    /// What is done when no peer answers after a start with an intact journal.
    pub on_isolated: StalePolicy,
    /// How long a start waits for a peer before `on_isolated` decides.
    pub bootstrap_timeout: Duration,
    /// Nodes that are not listened to, and not counted.
    pub quarantine: Vec<NodeName>,
    /// A stream of Redis or Valkey that carries the same revocations.
    pub bus: Option<Bus>,
}

impl ClusterSettings {
    /// The key of the sums of sets: the same for all nodes with the same authorities.
    pub fn sum_key(&self) -> SumKey {
        let keys = self.authority_keys();
        keys.map_or_else(SumKey::default, |keys| SumKey::derive(&keys))
    }

    /// The key by which the log names tokens: the same for all nodes with the same authorities.
    pub fn log_key(&self) -> [u8; 32] {
        let keys = self.authority_keys().unwrap_or_default();
        blake3::derive_key("doorward 2026-11 names of tokens in logs", &keys)
    }

    /// The public keys of the authorities; `None`: nodes have no certificates.
    fn authority_keys(&self) -> Option<Vec<u8>> {
        let Security::Certificates(certificates) = &self.security else {
            return None;
        };
        let roots = certificates.authorities.roots.iter();
        let mut keys: Vec<_> = roots
            .map(|root| root.subject_public_key_info.as_ref())
            .collect();
        keys.sort_unstable();
        Some(keys.concat())
    }
}

/// How nodes know each other.
#[derive(Debug)]
pub enum Security {
    /// Not at all: plain text between addresses of this machine.
    Loopback,
    /// By certificates of one private authority, over TLS 1.3 (RFC 8446).
    Certificates(Certificates),
}

impl Security {
    /// A digest of the rules that decide which nodes may be peers.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        if let Self::Certificates(certificates) = self {
            for root in &certificates.authorities.roots {
                hasher.update(&root.subject_public_key_info);
            }
            for certificate in &certificates.chain {
                hasher.update(certificate);
            }
            for name in &certificates.allow {
                hasher.update(name.as_str().as_bytes());
                hasher.update(b"\0");
            }
        }
        *hasher.finalize().as_bytes()
    }
}

/// The certificates of `[cluster]`.
pub struct Certificates {
    /// The authorities whose nodes belong to the cluster.
    pub authorities: Arc<RootCertStore>,
    /// The file that they were read from. Where `ca.key` is beside it, this node can admit others.
    pub ca_file: PathBuf,
    /// This node's certificate, and those between it and the authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The names that may join; empty: every name that the authority certified.
    pub allow: Vec<NodeName>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates(allow: {:?})", self.allow)
    }
}

/// What is done with credentials while a revocation may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalePolicy {
    /// They are judged by what is known.
    Serve,
    /// They are answered with 503.
    Refuse,
}
