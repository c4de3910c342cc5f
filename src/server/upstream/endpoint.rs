//! The address of a server, as the operator writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::Path;
use std::sync::Arc;

use super::tls::UpstreamTls;
use crate::request::ServerAddress;

/// One server of `upstream`: a name, an address, or a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(EndpointKind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum EndpointKind {
    Network {
        host: String,
        port: u16,
        tls: bool,
    },
    /// HTTP in the clear, on a unix socket with this path.
    Socket(Arc<Path>),
}

impl Endpoint {
    /// `host:port`, or with `http://` or `https://` before it; or `unix:` and a path. Another path makes no sense here.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "an address such as 127.0.0.1:8000, shop.internal:8000, https://shop.internal or \
             unix:/run/shop.sock";
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::parse_socket(path);
        }
        let (tls, authority) = match text.split_once("://") {
            Some((_, rest)) if rest.starts_with("unix:") => {
                return Err(
                    "unix:/run/shop.sock, without a scheme: no TLS is spoken over a unix socket",
                );
            }
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(WANTED),
            None => (false, text),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| WANTED)?;
        let standard = text.contains("://").then_some(if tls { 443 } else { 80 });
        let port = parsed.port_u16().or(standard).ok_or(WANTED)?;
        if parsed.host().is_empty() || authority.contains('@') {
            return Err(WANTED);
        }
        let host = parsed.host().trim_matches(['[', ']']).to_owned();
        Ok(Self(EndpointKind::Network { host, port, tls }))
    }

    fn parse_socket(path: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') {
            return Err("the absolute path of a unix socket, such as unix:/run/shop.sock");
        }
        UnixAddress::from_pathname(path)
            .map_err(|_| "the path of a unix socket, which has at most 107 bytes")?;
        Ok(Self(EndpointKind::Socket(Path::new(path).into())))
    }

    /// Whether tokens travel to it over a network in the clear (RFC 6750 section 5.2).
    pub fn is_exposed(&self) -> bool {
        match &self.0 {
            EndpointKind::Network { host, tls, .. } => {
                let local = match host.parse::<IpAddr>() {
                    Ok(address) => address.is_loopback(),
                    Err(_) => host == "localhost",
                };
                !tls && !local
            }
            EndpointKind::Socket(_) => false,
        }
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        match &self.0 {
            EndpointKind::Network { tls, .. } => *tls,
            EndpointKind::Socket(_) => false,
        }
    }

    /// Whether there is a name that it can prove by a certificate.
    pub fn is_verifiable(&self, tls: &UpstreamTls) -> bool {
        self.name_to_prove(tls).is_some()
    }

    /// The name that it proves by its certificate, if it speaks TLS.
    pub(super) fn name_to_prove<'n>(&'n self, tls: &'n UpstreamTls) -> Option<&'n str> {
        let (host, _) = self.network().filter(|_| self.is_tls())?;
        tls.name_for(host)
    }

    /// Whether what listens at this address on this machine is reached there, as far as that can be told without asking the
    /// network: an address of another interface is not known.
    pub fn reaches(&self, listener: SocketAddr) -> bool {
        let Some((host, port)) = self.network() else {
            return false;
        };
        let at = listener.ip().to_canonical();
        let is_there = |to: IpAddr| {
            let to = to.to_canonical();
            let is_local = to.is_loopback() || to.is_unspecified();
            let is_family = to.is_ipv4() || at.is_ipv6(); // `[::]` takes both
            let is_everywhere = at.is_unspecified() && is_local && is_family;
            to == at || is_everywhere || to.is_unspecified() && at.is_loopback()
        };
        let names = ["127.0.0.1", "::1"].map(str::parse::<IpAddr>);
        let is_named = || names.iter().flatten().any(|to| is_there(*to));
        let is_same = match host.parse::<IpAddr>() {
            Ok(address) => is_there(address),
            Err(_) => host.eq_ignore_ascii_case("localhost") && is_named(),
        };
        is_same && port != 0 && port == listener.port()
    }

    /// Its name or address, and its port, if it is on a network.
    pub(super) fn network(&self) -> Option<(&str, u16)> {
        match &self.0 {
            EndpointKind::Network { host, port, .. } => Some((host, *port)),
            EndpointKind::Socket(_) => None,
        }
    }

    /// Its address, where the operator wrote one: nothing needs to be looked up.
    pub(super) fn literal(&self) -> Option<ServerAddress> {
        match &self.0 {
            EndpointKind::Network { host, port, .. } => {
                let address = host.parse::<IpAddr>().ok()?;
                Some(SocketAddr::new(address, *port).into())
            }
            EndpointKind::Socket(path) => Some(ServerAddress::Unix(Arc::clone(path))),
        }
    }

    /// The `Host` of a request to the server itself. That of a unix socket has no name of its own.
    pub(super) fn authority(&self) -> String {
        match self.network() {
            Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((host, port)) => format!("{host}:{port}"),
            None => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EndpointKind::Network { tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}", self.authority())
            }
            EndpointKind::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_as_operators_write_it() {
        let read = |text| Endpoint::parse(text).map(|endpoint| endpoint.to_string());
        assert_eq!(
            read("127.0.0.1:8000"),
            Ok("http://127.0.0.1:8000".to_owned())
        );
        assert_eq!(
            read("https://shop.internal"),
            Ok("https://shop.internal:443".to_owned())
        );
        assert_eq!(
            read("http://shop.internal/"),
            Ok("http://shop.internal:80".to_owned())
        );
        assert_eq!(
            read("https://[::1]:8443"),
            Ok("https://[::1]:8443".to_owned())
        );
        for unfit in [
            "shop.internal",
            "ftp://shop:1",
            "http://shop/path",
            "a b:1",
            ":80",
            "https://:443",
            "",
            "unix:",
            "unix:run/shop.sock",
            "https://unix:/run/shop.sock",
            "http://unix:/run/shop.sock",
            &format!("unix:/{}", "long".repeat(27)),
            "unix:/run/\0shop.sock",
        ] {
            assert!(Endpoint::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_listener_is_reached_at_its_address_and_on_loopback_if_it_is_everywhere() {
        for (to, at, is_reached) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:81", "127.0.0.1:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("[::ffff:127.0.0.1]:80", "0.0.0.0:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("[::1]:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("localhost:80", "0.0.0.0:80", true),
            ("LocalHost:80", "[::1]:80", true),
            ("localhost:80", "192.0.2.1:80", false),
            ("192.0.2.1:80", "192.0.2.1:80", true),
            ("192.0.2.2:80", "0.0.0.0:80", false),
            ("shop.internal:80", "0.0.0.0:80", false),
            ("unix:/run/shop.sock", "0.0.0.0:80", false),
        ] {
            let endpoint = Endpoint::parse(to).unwrap();
            assert_eq!(
                endpoint.reaches(at.parse().unwrap()),
                is_reached,
                "{to} {at}"
            );
        }
    }

    #[test]
    fn a_unix_socket_is_an_endpoint_without_tls() {
        let endpoint = Endpoint::parse("unix:/run/shop.sock").unwrap();
        assert_eq!(endpoint.to_string(), "unix:/run/shop.sock");
        assert_eq!(endpoint.authority(), "localhost");
        assert_eq!(
            endpoint.literal().unwrap().to_string(),
            "unix:/run/shop.sock"
        );
        assert!(!endpoint.is_tls() && !endpoint.is_exposed());
        assert!(!endpoint.is_verifiable(&UpstreamTls::default()));
    }

    #[test]
    fn a_plain_address_on_the_network_exposes_tokens_standards_12() {
        assert!(Endpoint::parse("10.0.0.1:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("[::1]:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("https://10.0.0.1").unwrap().is_exposed());
    }
}
