//! Request targets (RFC 9112 section 3.2): the shop must read the target that was judged.

use http::{Method, Uri};
use pingora::http::RequestHeader;

/// Whether a target is a path, an absolute address whose path is judged, or the asterisk of OPTIONS.
///
/// Pingora takes more, and exposes of an absolute address only the path while it sends the whole.
pub(crate) fn is_fit(head: &RequestHeader) -> bool {
    if !head.raw_path().iter().copied().all(is_target_byte) {
        return false; // HTTP/2; a line of HTTP/1 with such a byte does not get this far
    }
    match head.raw_path() {
        [b'/', ..] => true,
        b"*" => matches!(head.method, Method::OPTIONS | Method::TRACE),
        other => std::str::from_utf8(other).is_ok_and(is_absolute),
    }
}

/// The bytes of a target: RFC 3986, and those that browsers do not encode in a query.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

fn is_absolute(target: &str) -> bool {
    let Ok(uri) = target.parse::<Uri>() else {
        return false;
    };
    let over_http = uri
        .scheme_str()
        .is_some_and(|scheme| matches!(scheme, "http" | "https"));
    let host = uri.authority().map(http::uri::Authority::as_str);
    over_http && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
}

/// Sends a shop the path of an absolute address; its host stands in `Host`, and Pingora has compared them.
pub(crate) fn make_origin_form(upstream: &mut RequestHeader) {
    if upstream
        .raw_path()
        .first()
        .is_some_and(|first| !matches!(first, b'/' | b'*'))
    {
        let path = upstream.uri.path_and_query().cloned();
        let path = path.unwrap_or(http::uri::PathAndQuery::from_static("/"));
        upstream.set_uri(Uri::from(path));
    }
}
