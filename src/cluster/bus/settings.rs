//! The settings of the bus: its address and the authorities of its certificate.

use std::fmt;
use std::net::IpAddr;

use redis::{ConnectionAddr, IntoConnectionInfo as _};

use crate::cluster::peer_address::LOCALHOST;

/// A stream of Redis or Valkey.
#[derive(Clone, PartialEq, Eq)]
pub struct Bus {
    /// `redis://` or `rediss://`, with user and password where the server asks for them.
    pub url: String,
    /// The certificates that may vouch for the server (PEM); `None`: those of the system.
    pub authorities_pem: Option<Vec<u8>>,
    /// The host, without user and password.
    host: String,
    port: u16,
}

impl Bus {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS, with the authorities of the system.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "rediss://user:password@host:6380/0, or redis:// without TLS";
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(WANTED);
        }
        let info = url.into_connection_info().map_err(|_| WANTED)?;
        if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
            return Err("rediss:// without #insecure: the server's certificate is verified");
        }
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            info.addr()
        else {
            return Err(WANTED);
        };
        Ok(Self {
            url: url.to_owned(),
            authorities_pem: None,
            host: host.clone(),
            port: *port,
        })
    }

    /// The name or address of its machine.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is used.
    pub fn is_encrypted(&self) -> bool {
        self.url.starts_with("rediss://")
    }

    /// Whether passwords and revocations travel to it in the clear, beyond this machine.
    pub fn is_exposed(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        let is_here = address.is_ok_and(|address| address.is_loopback());
        !self.is_encrypted() && !is_here && self.host != LOCALHOST
    }
}

/// Where it is, without user and password.
impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus(..)")
    }
}

/// Why a node can't use the bus that the operator names.
#[derive(Debug)]
pub enum UnfitBus {
    /// The address is none of a Redis server.
    Address,
    /// The host is no name that a certificate can have.
    Host,
    /// The system has no authorities.
    NoAuthorities,
    /// A certificate of the operator's file can't be read.
    Authority,
    /// TLS can't be set up.
    Tls(rustls::Error),
}

impl std::error::Error for UnfitBus {}

impl fmt::Display for UnfitBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the address of the bus does not fit"),
            Self::Host => f.write_str("the host of the bus can't be verified"),
            Self::NoAuthorities => {
                f.write_str("the system knows no authorities: name some in `bus_ca_file`")
            }
            Self::Authority => f.write_str("`bus_ca_file` has a certificate that can't be read"),
            Self::Tls(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_a_redis_server_that_is_verified() {
        for (url, shown, is_exposed) in [
            ("redis://127.0.0.1", "127.0.0.1:6379", false),
            ("redis://localhost:7000/1", "localhost:7000", false),
            ("redis://[::1]", "[::1]:6379", false),
            ("redis://me:hunter2@bus.internal", "bus.internal:6379", true),
            (
                "rediss://me:hunter2@bus.internal:6380/0",
                "bus.internal:6380",
                false,
            ),
        ] {
            let bus = Bus::parse(url).unwrap();
            assert_eq!(bus.to_string(), shown);
            assert_eq!(bus.is_exposed(), is_exposed, "{url}");
            assert!(!format!("{bus:?}").contains("hunter2"));
        }
        for url in [
            "",
            "bus.internal",
            "http://a",
            "redis:a",
            "redis://",
            "redis://0.0.0.0",
            "redis://a/b",
            "unix:///a",
            "redis+unix:///a",
            "valkey://a",
            "rediss://a#insecure",
            "rediss://a#b",
            "redis://a:b:c",
        ] {
            assert!(Bus::parse(url).is_err(), "{url}");
        }
    }
}
