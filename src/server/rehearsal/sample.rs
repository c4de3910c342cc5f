//! A request that is rehearsed, before it is bytes.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

/// A request that is rehearsed.
#[derive(Clone)]
pub struct SampleRequest {
    /// Its method.
    pub method: String,
    /// Whether it comes over TLS.
    pub is_encrypted: bool,
    /// The host of its URL; `None`: its headers say it, or nothing does.
    pub host: Option<String>,
    /// Its target: a path with its query.
    pub target: String,
    /// Its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The address that its connection comes from.
    pub client: IpAddr,
}

/// Shows no header and no body: they may hold credentials.
impl fmt::Debug for SampleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SampleRequest({})", self.method)
    }
}

/// Why something is no request that could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitSample {
    /// Its URL is none.
    Url,
    /// It names another scheme than `http` and `https`.
    Scheme,
    /// Its URL has no host.
    NoHost,
    /// A line end or a NUL stands in its method, its target or a header.
    LineEnd,
}

impl fmt::Display for UnfitSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "this is no URL: expected one such as https://shop.example.com/path",
            Self::Scheme => "this URL is neither http nor https",
            Self::NoHost => "this URL has no host",
            Self::LineEnd => "a line end stands in the method, the URL or a header",
        })
    }
}

impl SampleRequest {
    /// A GET of this URL, without headers, of a client on this machine. A URL without scheme is taken for `http`; a path alone has the
    /// host that a header says.
    ///
    /// # Errors
    ///
    /// Says why it can't be sent.
    pub fn get(url: &str) -> Result<Self, UnfitSample> {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("http".to_owned(), url),
        };
        let is_encrypted = match scheme.as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(UnfitSample::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.is_empty() && (url.contains("://") || target.is_empty()) {
            return Err(UnfitSample::NoHost);
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(UnfitSample::Url);
        }
        let target = match target.as_bytes().first() {
            None => "/".to_owned(),
            Some(b'?') => format!("/{target}"),
            Some(_) => encoded(target),
        };
        Ok(Self {
            method: "GET".to_owned(),
            is_encrypted,
            host: (!host.is_empty()).then(|| host.to_owned()),
            target,
            headers: Vec::new(),
            body: Vec::new(),
            client: Ipv4Addr::LOCALHOST.into(),
        })
    }

    /// The lines of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.headers.iter();
        let lines = lines.filter(move |(line, _)| line.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_slice())
    }

    /// As bytes of HTTP/1.1. What a client adds is added: `Host`, and the length of the body.
    ///
    /// # Errors
    ///
    /// Says why it can't be sent.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, UnfitSample> {
        let is_line = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let is_head_fit = is_line(self.method.as_bytes()) && is_line(self.target.as_bytes());
        let has = |name| self.header(name).next().is_some();
        if let (Some(host), false) = (&self.host, has("host")) {
            bytes.extend(format!("Host: {host}\r\n").into_bytes());
        }
        let mut are_fit = is_head_fit;
        for (name, value) in &self.headers {
            are_fit &= is_line(name.as_bytes()) && is_line(value);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if !are_fit {
            return Err(UnfitSample::LineEnd);
        }
        let is_framed = has("content-length") || has("transfer-encoding");
        if !is_framed && (!self.body.is_empty() || has_length(&self.method)) {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }
}

/// Whether a client sends a length although there is no body.
fn has_length(method: &str) -> bool {
    ["POST", "PUT", "PATCH"].contains(&method)
}

/// A target without the characters that no client sends: they are percent-encoded, as browsers and curl do.
fn encoded(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else if byte == b'\r' || byte == b'\n' || byte == 0 {
            out.push(char::from(byte)); // it is refused
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
