//! A network of clients or proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::clients::Peers;
use crate::config::reading::{TomlTable, TomlText};

/// What stands for the peers by unix sockets.
const UNIX: &str = "unix:";

/// Reads an address or a network.
pub(crate) fn parse(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>();
    net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "an address or network such as 192.0.2.7 or 10.0.0.0/8")
}

/// The peers by unix sockets.
pub(crate) const UNIX: &str = "unix:";

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
