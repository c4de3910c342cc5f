//! The address of a server, as the operator writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::tls::UpstreamTls;

/// One entry of `upstream`: a name, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
}

impl Endpoint {
    /// `host:port`, or with `http://` or `https://` before it; a path makes no sense here.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str =
            "an address such as 127.0.0.1:8000, shop.internal:8000 or https://shop.internal";
        let (tls, authority) = match text.split_once("://") {
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
        let host = parsed.host().trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// Whether tokens travel to it over a network in the clear (RFC 6750 section 5.2).
    pub fn is_exposed(&self) -> bool {
        let local = match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        };
        !self.tls && !local
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether there is a name that it can prove by a certificate.
    pub fn is_verifiable(&self, tls: &UpstreamTls) -> bool {
        tls.name_for(&self.host).is_some()
    }

    /// Its name, or its address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, where the operator wrote one: nothing needs to be looked up.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let address = self.host.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(address, self.port))
    }

    /// The `Host` of a request to the server itself.
    pub(super) fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
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
        ] {
            assert!(Endpoint::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_plain_address_on_the_network_exposes_tokens_standards_12() {
        assert!(Endpoint::parse("10.0.0.1:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("[::1]:80").unwrap().is_exposed());
        assert!(!Endpoint::parse("https://10.0.0.1").unwrap().is_exposed());
    }
}
