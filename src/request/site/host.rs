//! The host that a request is for, and the hosts that a shop claims.

use std::fmt;

use http::header::HOST;

use crate::request::answers::Refusal;
use crate::request::calls::Request;

/// A host, or all hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host below this domain.
    Below(String),
}

/// The host that a request names, without port (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
pub fn host_of<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    let authority = authority_of(request);
    if let Some(host) = authority.filter(|host| is_plain(host)) {
        return Ok(host); // as nearly always
    }
    authority
        .and_then(without_port)
        .filter(|host| is_host(host))
        .map(|host| host.strip_suffix('.').unwrap_or(host))
        .ok_or(Refusal::BadHost)
}

/// The port that a request names, unless it is none or the usual one of the other scheme.
pub fn port_of(request: &Request<'_>, is_encrypted: bool) -> Option<u16> {
    let authority = authority_of(request)?;
    let host = without_port(authority)?;
    let port = authority[host.len()..].strip_prefix(':')?.parse().ok();
    let of_other_scheme = if is_encrypted { 80 } else { 443 };
    port.filter(|port| ![0, of_other_scheme].contains(port))
}

/// A name without port and without a dot at its end.
fn is_plain(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    host.bytes().all(fits) && !host.ends_with('.') && has_labels(host)
}

/// Whether no label of a name is empty (RFC 1035 section 2.3.1); a dot at its end names the root.
fn has_labels(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).as_bytes();
    let is_empty = |pair: &[u8]| pair == b"..";
    name.first().is_some_and(|first| *first != b'.')
        && name.last() != Some(&b'.')
        && !name.windows(2).any(is_empty)
}

/// The host that a request names, and the port if it names one. HTTP/2 has it in the target.
pub(in crate::request) fn authority_of<'a>(request: &Request<'a>) -> Option<&'a str> {
    let mut lines = request.head.headers.get_all(HOST).iter();
    match (request.head.uri.authority(), lines.next(), lines.next()) {
        (_, _, Some(_)) | (None, None, None) => None,
        (Some(authority), _, None) => Some(authority.as_str()),
        (None, Some(line), None) => line.to_str().ok(),
    }
}

/// `host [ ":" port ]`: what stands before the port.
pub(in crate::request) fn without_port(given: &str) -> Option<&str> {
    let end_of_address = given.find(']').map_or(0, |end| end + 1);
    let (host, port) = match given[end_of_address..].find(':') {
        Some(colon) => given.split_at(end_of_address + colon),
        None => (given, ""),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(host)
}

/// A name as shops have them, or an address; not all that RFC 3986 section 3.2.2 could mean.
pub(in crate::request) fn is_host(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = inner {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    host.bytes().all(fits) && has_labels(host)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl HostPattern {
    /// A host name, or `*.` and a domain.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a host name such as shop.example.com or *.example.com, without port";
        let (name, below) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
        let has_port = name.contains(':') && !name.starts_with('[');
        if !has_labels(name) || name.bytes().any(odd) || has_port {
            return Err(WANTED);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = name.to_ascii_lowercase();
        Ok(if below {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }

    /// Whether both mean the same host, or one that both mean.
    pub fn may_meet(&self, other: &Self) -> bool {
        let is_below = |one: &Self, other: &Self| match other {
            Self::Exact(name) | Self::Below(name) => one.claims(name),
        };
        self == other || is_below(self, other) || is_below(other, self)
    }

    /// How closely it names the hosts that it means: a name more closely than a domain, and a domain more closely than one
    /// above it.
    pub(in crate::request) fn closeness(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Below(domain) => domain.len(),
        }
    }

    /// Whether it means `host`, in whatever case.
    pub fn claims(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.eq_ignore_ascii_case(host),
            Self::Below(domain) => {
                let split = host.len().checked_sub(domain.len() + 1);
                split.is_some_and(|split| {
                    host.as_bytes().get(split) == Some(&b'.')
                        && has_labels(&host[..=split])
                        && host[split + 1..].eq_ignore_ascii_case(domain)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_without_its_port_standards_101() {
        for (given, host) in [
            ("shop.example.com", Some("shop.example.com")),
            ("shop.example.com:8443", Some("shop.example.com")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("a/b", None),
            ("a,b", None),
            ("user@host", None),
            ("", None),
            (":80", None),
            ("a:b", None),
            ("[::1", None),
            ("[::1]x", None),
            ("ä", None),
            ("shop.example.com.", Some("shop.example.com.")),
            ("..example.com", None),
            (".example.com", None),
            ("shop..example.com", None),
            ("shop.example.com..", None),
            (".", None),
            ("..:443", None),
        ] {
            let read = without_port(given).filter(|host| is_host(host));
            assert_eq!(read, host, "{given}");
        }
    }

    #[test]
    fn a_wildcard_means_what_is_below_its_domain_only() {
        let below = HostPattern::parse("*.example.com").unwrap();
        assert!(below.claims("shop.Example.com"));
        assert!(below.claims("a.b.example.com"));
        for other in [
            "example.com",
            ".example.com",
            "..example.com",
            "a..example.com",
            ".a.example.com",
            "badexample.com",
            "com",
        ] {
            assert!(!below.claims(other), "{other}");
        }
        for unfit in [
            "*..example.com",
            "*.",
            "a..b",
            ".example.com",
            "example.com..",
            ".",
        ] {
            assert!(HostPattern::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn no_request_has_a_host_with_an_empty_label() {
        let host = |line: &str, target: &str| {
            let head = http::Request::get(target)
                .header(HOST, line)
                .body(())
                .unwrap();
            let (head, ()) = head.into_parts();
            let request = Request::new(&head, None);
            (
                host_of(&request).map(str::to_owned),
                port_of(&request, true),
            )
        };
        for unfit in [
            "..tenant.test",
            ".tenant.test",
            "a..tenant.test",
            "a.tenant.test..",
            ".",
        ] {
            assert_eq!(host(unfit, "/").0, Err(Refusal::BadHost), "{unfit}");
            assert_eq!(
                host(&format!("{unfit}:80"), "/").0,
                Err(Refusal::BadHost),
                "{unfit}"
            );
        }
        let http_2 = host("a.tenant.test", "http://..tenant.test/");
        assert_eq!(http_2.0, Err(Refusal::BadHost));
        assert_eq!(
            host("a.tenant.test.:8443", "/"),
            (Ok("a.tenant.test".to_owned()), Some(8443))
        );
        for wrong in ["a.test:0", "a.test:80", "a.test:", "a.test:65536", "a.test"] {
            assert_eq!(host(wrong, "/").1, None, "{wrong}");
        }
    }
}
