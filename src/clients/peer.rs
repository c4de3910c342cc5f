//! The other end of a connection, and sets of them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// At this address.
    Address(IpAddr),
    /// A process of this machine, by a unix socket: it has no address.
    Unix,
}

/// A set of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those at the addresses of these networks.
    pub networks: Vec<IpNet>,
    /// Whether those by unix sockets are among them.
    pub unix: bool,
}

impl Peer {
    /// With the address in its usual form: `::ffff:192.0.2.1` is `192.0.2.1`.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    /// Its address, if it has one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::at(address)
    }
}

/// As the configuration lists them.
impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(ToString::to_string);
        let unix = self.unix.then(|| Peer::Unix.to_string());
        let all: Vec<_> = networks.chain(unix).collect();
        f.write_str(&all.join(", "))
    }
}

impl Peers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether all of the others are among them, as far as their networks show one by one.
    pub fn cover(&self, others: &Self) -> bool {
        let has_network = |network| self.networks.iter().any(|one| one.contains(network));
        others.networks.iter().all(has_network) && (self.unix || !others.unix)
    }

    /// Whether this one is among them.
    pub fn contains(&self, peer: Peer) -> bool {
        match peer {
            Peer::Address(address) => self.networks.iter().any(|net| net.contains(&address)),
            Peer::Unix => self.unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_by_a_unix_socket_is_in_no_network() {
        let everywhere = Peers {
            networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            unix: false,
        };
        assert!(!everywhere.contains(Peer::Unix));
        assert!(everywhere.contains(Peer::at("::ffff:192.0.2.1".parse().unwrap())));
        let local = Peers {
            networks: Vec::new(),
            unix: true,
        };
        assert!(local.contains(Peer::Unix) && !local.is_empty());
        assert!(!everywhere.cover(&local) && !local.cover(&everywhere));
        let both = Peers {
            unix: true,
            ..everywhere.clone()
        };
        assert!(both.cover(&local) && both.cover(&everywhere));
        assert_eq!(both.to_string(), "0.0.0.0/0, ::/0, unix:");
        assert!(!local.contains(Peer::at("127.0.0.1".parse().unwrap())));
    }
}
