//! A network of clients or proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::clients::Peers;
use crate::config::reading::{TomlTable, TomlText};

/// What stands for the peers by unix sockets.
pub(crate) const UNIX: &str = "unix:";

/// Reads an address or a network, in its usual form: `::ffff:192.0.2.0/120` is `192.0.2.0/24`, as clients there have addresses of
/// IPv4.
pub(crate) fn parse(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>();
    let net = net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(usual)
        .map_err(|_| "an address or network such as 192.0.2.7 or 10.0.0.0/8")
}

fn usual(net: IpNet) -> IpNet {
    /// How many bits of an address of IPv6 stand before one of IPv4.
    const MAPPED: u8 = 96;
    let length = net.prefix_len().checked_sub(MAPPED);
    let mapped = length.and_then(|length| IpNet::new(net.addr().to_canonical(), length).ok());
    match (net, mapped) {
        (IpNet::V6(_), Some(IpNet::V4(mapped))) => IpNet::V4(mapped),
        (net, _) => net,
    }
}

/// Reads networks, and [`UNIX`].
pub(crate) fn read_peers(texts: &[TomlText<'_>]) -> Peers {
    let mut peers = Peers::default();
    for text in texts {
        if text.as_str() == UNIX {
            peers.unix = true;
        } else {
            peers.networks.extend(text.parse_as(parse));
        }
    }
    peers
}

/// The same of a key where an empty array is a fault.
pub(crate) fn read_one_or_more(table: &mut TomlTable<'_>, key: &str) -> Peers {
    let network = |text: &str| match text {
        UNIX => Ok(None),
        _ => parse(text).map(Some),
    };
    let named = table.one_or_more_as(key, network);
    Peers {
        unix: named.contains(&None),
        networks: named.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv4_may_be_written_as_one_of_ipv6() {
        for (written, usual) in [
            ("::ffff:10.0.0.66", "10.0.0.66/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/112", "2001:db8::/112"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            assert_eq!(parse(written), Ok(usual.parse().unwrap()), "{written}");
        }
    }
}
