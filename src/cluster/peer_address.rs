//! Where another node is.

use std::fmt;
use std::net::SocketAddr;

use rustls::pki_types::DnsName;

/// Where another node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// At this address.
    Address(SocketAddr),
    /// At every address that this name has, with this port; looked up again and again.
    Name(String, u16),
}

/// What stands for the addresses of the own machine (RFC 6761 section 6.3).
pub(crate) const LOCALHOST: &str = "localhost";

impl PeerAddress {
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

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
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
            assert_eq!(PeerAddress::parse(text).unwrap().to_string(), shown);
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
            assert!(PeerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_known_without_a_name_server() {
        for text in ["127.0.0.2:1", "[::1]:1", "LOCALHOST:1"] {
            assert!(PeerAddress::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["10.0.0.2:1", "localhost.example.com:1"] {
            assert!(!PeerAddress::parse(text).unwrap().is_loopback(), "{text}");
        }
    }
}
