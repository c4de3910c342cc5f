//! What the operator says of the cluster.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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

/// What a node is called: a name that its certificate bears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// A name of lower-case letters, digits, dots and hyphens, as a certificate can bear it
    /// (RFC 5280 section 4.2.1.6), at most 63 bytes long.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let of_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let fits = bytes.iter().copied().all(of_name)
            && bytes.len() <= 63
            && ends_well(bytes.first())
            && ends_well(bytes.last())
            && !text.contains("..");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name of lower-case letters, digits, dots and hyphens, such as shop-1")
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

/// The certificates of `[cluster]`.
pub struct Certificates {
    /// The authorities whose nodes belong to the cluster.
    pub authorities: Arc<RootCertStore>,
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

/// Who must have a revocation before its logout is answered, beside the disk of the node that took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// Nobody else.
    Local,
    /// One other node.
    #[default]
    One,
    /// Every other node.
    All,
}

/// What is done with credentials while a revocation may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are judged by what is known.
    Serve,
    /// They are answered with 503.
    Refuse,
}

/// A stream of Redis or Valkey.
#[derive(Clone)]
pub struct Bus {
    /// `redis://` or `rediss://`, with user and password where the server asks for them.
    pub url: String,
    /// The certificates that may vouch for the server (PEM); `None`: those of the system.
    pub authorities_pem: Option<Vec<u8>>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_what_a_certificate_can_bear() {
        for name in ["a", "shop-1", "1.eu.doorward.internal"] {
            assert_eq!(NodeName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "A", "a_b", "-a", "a.", "a..b", "ä", &"a".repeat(64)] {
            assert!(NodeName::parse(name).is_err(), "{name}");
        }
    }
}
