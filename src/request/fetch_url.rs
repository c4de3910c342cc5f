//! The URL of something that is fetched, and that no one in between may replace.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

/// The URL of something that is fetched: a JWK set, or the directory of an ACME authority.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchUrl {
    /// Whether it is fetched over TLS.
    pub tls: bool,
    /// Its host: a name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path and the query.
    pub target: String,
}

impl FetchUrl {
    /// An absolute `https://` URL; `http://` only for an address of the loopback interface, where no one in between could replace
    /// what is fetched.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a URL such as https://login.example.com/path";
        if text.contains('#') {
            return Err("a URL without fragment");
        }
        let uri: Uri = text.parse().map_err(|_| WANTED)?;
        let scheme = uri.scheme().ok_or(WANTED)?;
        let authority = uri.authority().ok_or(WANTED)?;
        let host = authority.host();
        if authority.as_str().contains('@') {
            return Err("a URL without user name and password");
        }
        let tls = *scheme == Scheme::HTTPS;
        let standard = if tls { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => Some(standard),
            Some(_) => authority.port_u16().filter(|port| *port != 0),
            None => None,
        };
        let host = host.trim_matches(['[', ']']);
        let address: Option<IpAddr> = host.parse().ok();
        let is_name = host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if host.is_empty() || !(is_name || address.is_some()) {
            return Err(WANTED);
        }
        if !tls {
            let is_plain = *scheme == Scheme::HTTP;
            if !is_plain || !address.is_some_and(|address| address.is_loopback()) {
                return Err(
                    "https://; http:// is for an address of the loopback interface only, such as http://127.0.0.1:9000/",
                );
            }
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port: port.ok_or(WANTED)?,
            target: uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str)
                .to_owned(),
        })
    }

    /// The host and, where it is not the usual one, the port: what a request names in `Host`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Without path and query: they may hold a secret.
impl fmt::Display for FetchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for FetchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchUrl({self}/..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let read = |text| {
            let url = FetchUrl::parse(text).unwrap();
            (url.to_string(), url.host.clone(), url.port, url.target)
        };
        let told = |origin: &str, host: &str, port, target: &str| {
            (origin.to_owned(), host.to_owned(), port, target.to_owned())
        };
        assert_eq!(
            read("https://Login.example.com/jwks.json?a=b"),
            told(
                "https://login.example.com",
                "login.example.com",
                443,
                "/jwks.json?a=b"
            )
        );
        assert_eq!(
            read("https://[2001:db8::1]:8443"),
            told("https://[2001:db8::1]:8443", "2001:db8::1", 8443, "/")
        );
        assert_eq!(
            read("HTTPS://10.0.0.1:443/k"),
            told("https://10.0.0.1", "10.0.0.1", 443, "/k")
        );
        assert_eq!(
            read("http://127.0.0.1:9000/k"),
            told("http://127.0.0.1:9000", "127.0.0.1", 9000, "/k")
        );
        assert_eq!(
            read("http://[::1]/k"),
            told("http://[::1]", "::1", 80, "/k")
        );
    }

    #[test]
    fn anything_else_is_no_place_to_fetch_from_standards_46() {
        for unfit in [
            "",
            "login.example.com/jwks.json",
            "/jwks.json",
            "ftp://login.example.com/",
            "file:///etc/passwd",
            "http://login.example.com/jwks.json",
            "http://localhost/jwks.json",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.com/",
            "https://user@login.example.com/",
            "https://user:hunter2@login.example.com/",
            "https://login.example.com/#keys",
            "https://login.example.com:0/",
            "https://login.example.com:99999/",
            "https://login.example.com:/",
            "https:///jwks.json",
            "https://:443/",
            "https://a b/",
            "https://a,b/",
            "https://[::1/",
            "https://ä.example.com/",
        ] {
            assert!(FetchUrl::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn what_is_asked_of_the_host_is_not_shown() {
        let url = FetchUrl::parse("https://login.example.com/hunter2?key=hunter2").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }
}
