//! Origins of pages.

use super::host::{is_host, without_port};

/// An origin of pages: scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: Scheme,
    /// In lower case, without a dot at its end.
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl WebOrigin {
    /// Its host, in lower case.
    pub(in crate::request) fn host(&self) -> &str {
        &self.host
    }

    /// `https://www.example.com`, with a port where it is not the usual one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "an origin such as https://www.example.com, without a path";
        let is_bare = |text: &&str| {
            text.split_once("://")
                .is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']))
        };
        let text = Some(text).filter(is_bare).ok_or(WANTED)?;
        Self::from_url(text).ok_or(WANTED)
    }

    /// The origin of a URL, as it stands in `Origin` or `Referer`.
    pub(in crate::request) fn from_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, port) = host_and_port(&rest[..end], scheme)?;
        Some(Self { scheme, host, port })
    }

    /// Whether it is the origin of what is asked for under this authority. One without port means the usual one.
    pub(in crate::request) fn is_at(&self, authority: &str) -> bool {
        let own = host_and_port(authority, self.scheme);
        own.is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

fn host_and_port(authority: &str, scheme: Scheme) -> Option<(String, u16)> {
    let host = without_port(authority).filter(|host| is_host(host))?;
    let port = authority[host.len()..].trim_start_matches(':');
    let port = match (port, scheme) {
        ("", Scheme::Http) => 80,
        ("", Scheme::Https) => 443,
        (digits, _) => digits.parse().ok()?,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    Some((host.to_ascii_lowercase(), port))
}
