//! A network of clients or proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads an address or a network.
pub(crate) fn parse(text: &str) -> Result<IpNet, &'static str> {
    let net = text.parse::<IpNet>();
    net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "an address or network such as 192.0.2.7 or 10.0.0.0/8")
}
