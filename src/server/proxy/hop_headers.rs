//! Headers that are about one connection, and are not sent on (RFC 9110 section 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

/// What is about one connection whether `Connection` names it or not, besides the three below.
const HOP_HEADERS: [HeaderName; 7] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const OLD_HOP_HEADERS: [&str; 3] = [
    "keep-alive",
    "proxy-authentication-info",
    "proxy-connection",
];

/// What `Connection` takes from no message: without these it would be another one.
const NEVER_NOMINATED: [HeaderName; 2] = [CONTENT_LENGTH, DATE];

/// Removes them from a request that is sent on a connection of its own. Nothing is left to wait for: its body is here.
pub(crate) fn remove_from_request(head: &mut RequestHeader) {
    for name in names_in(&head.headers) {
        head.remove_header(&name);
    }
    head.remove_header(&EXPECT);
}

/// Removes them from an answer of the shop, except what frames it, what a switch of protocols needs, and the names of
/// trailers that are sent on.
pub(crate) fn remove_from_answer(head: &mut ResponseHeader, client: Version) -> Result<()> {
    let is_switch = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let has_trailers = (head.version, client) == (Version::HTTP_2, Version::HTTP_2);
    for name in names_in(&head.headers) {
        let is_kept = name == TRANSFER_ENCODING
            || name == UPGRADE && is_switch
            || name == TRAILER && has_trailers;
        if !is_kept {
            head.remove_header(&name);
        }
    }
    if is_switch {
        head.insert_header(CONNECTION, "Upgrade")?;
    }
    Ok(())
}

/// The headers of a whole answer of the shop that are for the client, without its length.
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in names_in(headers) {
        kept.remove(name);
    }
    kept.remove(CONTENT_LENGTH);
    kept
}

/// The names of those that are there.
fn names_in(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let is_fixed =
        |name: &HeaderName| HOP_HEADERS.contains(name) || OLD_HOP_HEADERS.contains(&name.as_str());
    let mut names: SmallVec<_> = headers
        .keys()
        .filter(|name| is_fixed(name))
        .cloned()
        .collect();
    let lines = headers
        .get_all(CONNECTION)
        .iter()
        .map(HeaderValue::as_bytes);
    let options = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let nominated = options.filter_map(|option| {
        let name = HeaderName::from_bytes(option.trim_ascii()).ok()?;
        (headers.contains_key(&name) && !NEVER_NOMINATED.contains(&name)).then_some(name)
    });
    names.extend(nominated);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, version: Version, lines: &[(&'static str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        head.set_version(version);
        for (name, value) in lines {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn left(mut head: ResponseHeader, client: Version) -> Vec<String> {
        remove_from_answer(&mut head, client).unwrap();
        let names = head.headers.iter();
        let lines = names.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn what_is_about_one_connection_goes_no_further() {
        let lines = [
            ("connection", "close, X-Hop"),
            ("connection", " ,Date,content-length,no such"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("date", "today"),
            ("content-length", "2"),
            ("x-kept", "1"),
        ];
        let kept = [
            "content-length: 2",
            "date: today",
            "transfer-encoding: chunked",
            "x-kept: 1",
        ];
        for client in [Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(left(answer(200, Version::HTTP_11, &lines), client), kept);
        }
    }

    #[test]
    fn a_switch_of_protocols_keeps_what_it_needs() {
        let lines = [
            ("connection", "Upgrade, keep-alive"),
            ("upgrade", "websocket"),
            ("keep-alive", "timeout=5"),
        ];
        let switch = left(answer(101, Version::HTTP_11, &lines), Version::HTTP_11);
        assert_eq!(switch, ["connection: Upgrade", "upgrade: websocket"]);
    }

    #[test]
    fn trailers_are_announced_where_they_are_sent_on() {
        let announced = |shop, client| {
            let head = answer(200, shop, &[("trailer", "x-sum")]);
            !left(head, client).is_empty()
        };
        assert!(announced(Version::HTTP_2, Version::HTTP_2));
        assert!(!announced(Version::HTTP_2, Version::HTTP_11));
        assert!(!announced(Version::HTTP_11, Version::HTTP_2));
    }
}
