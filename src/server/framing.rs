//! What Pingora lets through and two servers could read differently (RFC 9112 section 11.2).

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::protocols::http::ServerSession;
use pingora_proxy::Session;

use super::forwarding::is_identity;
use super::limits::Limits;
use super::target;
use crate::request::Refusal;

/// What is wrong with the frame of a request, whatever it asks for.
pub(super) fn fault_of(session: &Session, limits: &Limits) -> Option<Refusal> {
    let head = session.req_header();
    if head.raw_path().len() > limits.target_bytes {
        return Some(Refusal::TargetTooLong); // HTTP/2; a longer line of HTTP/1 does not get this far
    }
    if !target::is_fit(head) {
        return Some(Refusal::BadTarget);
    }
    let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
    if is_chunked && announces_length(session) || !is_length_plain(&head.headers) {
        return Some(Refusal::AmbiguousLength);
    }
    let mut options = head.headers.get_all(CONNECTION).iter().flat_map(|line| {
        let line = line.to_str().unwrap_or_default();
        line.split(',').map(str::trim)
    });
    options
        .any(is_identity)
        .then_some(Refusal::NominatedIdentity)
}

/// Whether there is no length, or one that is one number. Pingora sends a repeated one on as it came (RFC 9110 section
/// 8.6).
fn is_length_plain(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().iter().all(u8::is_ascii_digit),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a `Content-Length` came along. Pingora has removed it from the headers; it stands in the bytes.
fn announces_length(session: &Session) -> bool {
    let raw = match session.as_downstream() {
        ServerSession::H1(session) => session.get_headers_raw_bytes(),
        ServerSession::H2(_) | ServerSession::Subrequest(_) | ServerSession::Custom(_) => {
            return false; // HTTP/2 has no Transfer-Encoding: the library has refused it
        }
    };
    raw.split(|byte| *byte == b'\n').any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str().as_bytes())
    })
}
