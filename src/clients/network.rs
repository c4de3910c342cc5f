//! The network of a client, by which clients are counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of an IPv4 client, or the /64 of an IPv6 client, all of whose addresses are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of the client with this address.
    pub fn containing(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The network around it that one customer may rent: a /24 of IPv4, a /48 of IPv6.
    #[must_use]
    pub fn wider(self) -> Self {
        Self(match self.0 {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        })
    }
}
