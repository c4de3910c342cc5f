//! What the operator says of the cluster.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bus_settings::Bus;
use crate::revocation::{Ack, NodeName, SumKey};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};

/// Everything of `[cluster]`.
#[derive(Debug)]
pub struct ClusterSettings {
    /// What this node is called.
    pub node: NodeName,
    /// Where other nodes come to.
    pub listen: SocketAddr,
    /// Where other nodes are.
    pub peers: Vec<Peer>,
    /// How nodes know each other.
    pub security: Security,
    /// Who must have a revocation before a logout is answered.
    pub ack: Ack,
    /// Whether this is the first boot of the first node: it may serve with an empty journal.
    pub initial: bool,
    /// What is done while a peer that may take logouts can't be heard.
    pub on_stale: Policy,
    /// What is done when no peer answers after a start with an intact journal.
    pub on_isolated: Policy,
    /// How long a start waits for a peer before `on_isolated` decides.
    pub bootstrap_timeout: Duration,
    /// Nodes that are not listened to, and not counted.
    pub quarantine: Vec<NodeName>,
    /// A stream of Redis or Valkey that carries the same revocations.
    pub bus: Option<Bus>,
}

impl ClusterSettings {
    /// What the sums of sets are keyed with: everybody who knows the authorities has the same.
    pub fn sum_key(&self) -> SumKey {
        let Security::Certificates(certificates) = &self.security else {
            return SumKey::default();
        };
        let roots = certificates.authorities.roots.iter();
        let mut keys: Vec<_> = roots
            .map(|root| root.subject_public_key_info.as_ref())
            .collect();
        keys.sort_unstable();
        SumKey::of(&keys.concat())
    }
}

/// Where another node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// At this address.
    Address(SocketAddr),
    /// At every address that this name has, with this port; looked up again and again.
    Name(String, u16),
}

/// What stands for the addresses of the own machine (RFC 6761 section 6.3).
pub(crate) const LOCALHOST: &str = "localhost";

impl Peer {
    /// `address:port` or `name:port`. Case does not count in a name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "an address or name with a port, such as 10.0.0.2:7946, [2001:db8::2]:7946 or doorward.internal:7946";
        let peer = if let Ok(address) = text.parse() {
            Self::Address(address)
        } else {
            let (name, port) = text.rsplit_once(':').ok_or(WANTED)?;
            let port = port.parse().map_err(|_| WANTED)?;
            Self::Name(name.to_ascii_lowercase(), port)
        };
        peer.can_be_reached().then_some(peer).ok_or(WANTED)
    }

    fn can_be_reached(&self) -> bool {
        match self {
            Self::Address(address) => address.port() != 0 && !address.ip().is_unspecified(),
            Self::Name(name, port) => *port != 0 && DnsName::try_from(name.as_str()).is_ok(),
        }
    }

    /// Whether it is on this machine, whatever a name server says.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Name(name, _) => name == LOCALHOST,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
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
    /// The same for the same rules of who may be a peer: a digest of them.
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
pub enum Policy {
    /// They are judged by what is known.
    Serve,
    /// They are answered with 503.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_a_name_with_a_port() {
        for (text, shown) in [
            ("10.0.0.2:7946", "10.0.0.2:7946"),
            ("[2001:db8::2]:7946", "[2001:db8::2]:7946"),
            ("Doorward.internal:7946", "doorward.internal:7946"),
            ("a_b.internal.:1", "a_b.internal.:1"),
        ] {
            assert_eq!(Peer::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            ":",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "10.0.0.2",
            "10.0.0.2:0",
            "0.0.0.0:1",
            "[::]:1",
            "10.0.0.256:1",
            "2001:db8::2:1",
            "a..b:1",
            "-a:1",
            "a b:1",
            "http://a:1",
            "a/b:1",
            "ä:1",
        ] {
            assert!(Peer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_known_without_a_name_server() {
        for text in ["127.0.0.2:1", "[::1]:1", "LOCALHOST:1"] {
            assert!(Peer::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["10.0.0.2:1", "localhost.example.com:1"] {
            assert!(!Peer::parse(text).unwrap().is_loopback(), "{text}");
        }
    }
}
