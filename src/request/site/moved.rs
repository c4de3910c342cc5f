//! The answer that sends a client to another origin, where path and query stay the same.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, LOCATION};
use http::{StatusCode, Uri};

use crate::request::answers::{Answer, Refusal};

/// A scheme, a host and a port.
#[derive(Clone, Copy, Debug)]
pub struct OriginParts<'a> {
    /// Whether the scheme is `https`.
    pub is_encrypted: bool,
    /// The host, which is one of a shop.
    pub host: &'a str,
    /// The port; `None`: the one of the scheme.
    pub port: Option<u16>,
}

/// 308 (RFC 9110 section 15.4.9): the client repeats the request there, with its method and its body.
pub fn moved_to(origin: OriginParts<'_>, target: &Uri) -> Result<Answer, Refusal> {
    let (scheme, usual) = if origin.is_encrypted {
        ("https", 443)
    } else {
        ("http", 80)
    };
    let port = origin.port.filter(|port| *port != usual);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let uri = target.path_and_query().map_or("/", |uri| uri.as_str());
    let uri = if uri.starts_with('/') { uri } else { "/" }; // `OPTIONS *`
    let to = format!("{scheme}://{}{port}{uri}", origin.host);
    let to = HeaderValue::try_from(to).map_err(|_| Refusal::BadTarget)?;
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, to);
    Ok(Answer {
        status: StatusCode::PERMANENT_REDIRECT,
        headers,
        body: Bytes::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(is_encrypted: bool, port: Option<u16>, target: &str) -> String {
        let origin = OriginParts {
            is_encrypted,
            host: "shop.example.com",
            port,
        };
        let answer = moved_to(origin, &target.parse().unwrap()).unwrap();
        answer.headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_path_and_the_query_stay_as_they_were_sent() {
        for (target, uri) in [
            ("/", "/"),
            ("/a%2Fb;c//d?e=f&g=%20", "/a%2Fb;c//d?e=f&g=%20"),
            ("//evil.example.com/x", "//evil.example.com/x"),
            ("/?", "/?"),
            ("http://other.example.com/a?b", "/a?b"),
            ("http://other.example.com", "/"),
            ("*", "/"),
        ] {
            let to = location(true, None, target);
            assert_eq!(to, format!("https://shop.example.com{uri}"), "{target}");
        }
    }

    #[test]
    fn only_an_unusual_port_is_named() {
        for (is_encrypted, port, origin) in [
            (true, Some(443), "https://shop.example.com/"),
            (true, Some(8443), "https://shop.example.com:8443/"),
            (true, Some(80), "https://shop.example.com:80/"),
            (false, Some(80), "http://shop.example.com/"),
            (false, Some(443), "http://shop.example.com:443/"),
            (false, None, "http://shop.example.com/"),
        ] {
            assert_eq!(location(is_encrypted, port, "/"), origin);
        }
    }
}
