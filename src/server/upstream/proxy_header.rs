//! The header of the PROXY protocol, by which a server learns where the client of a connection is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Which version of the protocol a server expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEnds {
    /// The client. Its port is 0 if a proxy before us named only the address.
    pub(crate) client: SocketAddr,
    /// Where it connected to; `None`: not an address of IP.
    pub(crate) server: Option<SocketAddr>,
}

/// The first twelve bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

impl ProxyProtocol {
    /// The header of a connection for a request of this client; `None`: for ourselves. A client whose address is not known, on a
    /// unix socket, is named like none.
    pub(super) fn header(self, ends: Option<ClientEnds>) -> Vec<u8> {
        let ends = ends.filter(|ends| !ends.client_ip().is_unspecified());
        let ends = ends.map(ClientEnds::of_one_family);
        match self {
            Self::V1 => version_1(ends).into_bytes(),
            Self::V2 => version_2(ends),
        }
    }
}

impl ClientEnds {
    /// The address of the client.
    pub(crate) fn client_ip(self) -> IpAddr {
        self.client.ip()
    }

    /// Client and server, both of IPv4 or both of IPv6.
    fn of_one_family(self) -> (SocketAddr, SocketAddr) {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let server = self.server.unwrap_or(unknown);
        let [client, server] = [self.client, server].map(canonical);
        if client.is_ipv4() == server.is_ipv4() {
            (client, server)
        } else {
            (mapped(client), mapped(server))
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// As an address of IPv6.
fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        ip @ IpAddr::V6(_) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn version_1(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((client, server)) = ends else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), server.ip());
    let (from_port, to_port) = (client.port(), server.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n")
}

fn version_2(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPECIFIED: u8 = 0x00;
    const TCP_OVER_IPV4: u8 = 0x11;
    const TCP_OVER_IPV6: u8 = 0x21;
    let mut addresses = Vec::new();
    let (command, family) = match ends {
        None => (LOCAL, UNSPECIFIED),
        Some((client, server)) => {
            for end in [client, server] {
                match end.ip() {
                    IpAddr::V4(ip) => addresses.extend(ip.octets()),
                    IpAddr::V6(ip) => addresses.extend(ip.octets()),
                }
            }
            for end in [client, server] {
                addresses.extend(end.port().to_be_bytes());
            }
            let is_ipv4 = client.is_ipv4();
            let family = if is_ipv4 {
                TCP_OVER_IPV4
            } else {
                TCP_OVER_IPV6
            };
            (PROXY, family)
        }
    };
    let length = u16::try_from(addresses.len()).unwrap_or_default();
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, server: Option<&str>) -> ClientEnds {
        ClientEnds {
            client: client.parse().unwrap(),
            server: server.map(|server| server.parse().unwrap()),
        }
    }

    #[test]
    fn version_1_is_a_line() {
        for (ends, line) in [
            (
                Some(ends("203.0.113.7:40000", Some("192.0.2.1:443"))),
                "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n",
            ),
            (
                Some(ends("[2001:db8::7]:40000", Some("[2001:db8::1]:443"))),
                "PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n",
            ),
            (
                Some(ends("203.0.113.7:0", Some("[::ffff:192.0.2.1]:443"))),
                "PROXY TCP4 203.0.113.7 192.0.2.1 0 443\r\n",
            ),
            (
                Some(ends("203.0.113.7:0", Some("[2001:db8::1]:443"))),
                "PROXY TCP6 ::ffff:203.0.113.7 2001:db8::1 0 443\r\n",
            ),
            (
                Some(ends("203.0.113.7:1", None)),
                "PROXY TCP4 203.0.113.7 0.0.0.0 1 0\r\n",
            ),
            (Some(ends("0.0.0.0:0", None)), "PROXY UNKNOWN\r\n"),
            (None, "PROXY UNKNOWN\r\n"),
        ] {
            let header = ProxyProtocol::V1.header(ends);
            assert_eq!(String::from_utf8(header).unwrap(), line);
        }
    }

    #[test]
    fn version_2_is_binary() {
        let header = ProxyProtocol::V2.header(Some(ends("203.0.113.7:256", Some("192.0.2.1:443"))));
        assert_eq!(
            header[..12],
            *b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
        );
        assert_eq!(header[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(header[16..], [203, 0, 113, 7, 192, 0, 2, 1, 1, 0, 1, 187]);
        let header = ProxyProtocol::V2.header(Some(ends("[2001:db8::7]:1", Some("[::1]:2"))));
        assert_eq!(header[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(header.len(), 16 + 36);
        let header = ProxyProtocol::V2.header(None);
        assert_eq!(header[12..], [0x20, 0, 0, 0]);
    }
}
