//! A network of clients or proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::clients::Peers;
use crate::config::reading::TomlText;

/// Reads an address or a network.
pub(crate) fn parse(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>();
    net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "an address or network such as 192.0.2.7 or 10.0.0.0/8")
}

/// Reads networks, and `unix:` for the peers by unix sockets.
pub(crate) fn read_peers(texts: &[TomlText<'_>]) -> Peers {
    const UNIX: &str = "unix:";
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
