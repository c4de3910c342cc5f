//! Checks of the framing of a request that Pingora does not make: what two servers could read differently (RFC 9112
//! section 11.2).

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::protocols::http::ServerSession;
use pingora_proxy::Session;

use super::target;
use crate::request::Refusal;
use crate::server::connection::limits::Limits;
use crate::server::proxy::forwarding::is_identity;

/// The fault of a request's framing, if it has one.
pub(crate) fn fault_of(session: &Session, limits: &Limits) -> Option<Refusal> {
    let head = session.req_header();
    if head.raw_path().len() > limits.target_bytes {
        return Some(Refusal::TargetTooLong); // HTTP/2; a longer line of HTTP/1 does not get this far
    }
    if !target::is_fit(head) {
        return Some(Refusal::BadTarget);
    }
    let is_coded = head.headers.contains_key(TRANSFER_ENCODING);
    if is_coded && announces_length(session) || !is_length_plain(&head.headers) {
        return Some(Refusal::AmbiguousLength);
    }
    if let Some(refusal) = coding_fault(&head.headers) {
        return Some(refusal);
    }
    let mut options = head.headers.get_all(CONNECTION).iter().flat_map(|line| {
        let line = line.to_str().unwrap_or_default();
        line.split(',').map(str::trim)
    });
    options
        .any(is_identity)
        .then_some(Refusal::NominatedIdentity)
}

/// Whether it is unclear where the next request begins (RFC 9112 section 6.3).
pub(crate) fn is_about_body(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AmbiguousLength | Refusal::UnknownCoding | Refusal::RepeatedCoding
    )
}

/// The fault of the transfer codings, if there is one: only `chunked`, once, is read as it was sent (RFC 9112
/// sections 6.1 and 7). Pingora looks at the last one only, and the shop would not see the others.
fn coding_fault(headers: &HeaderMap) -> Option<Refusal> {
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut is_unknown = false;
    let mut count = 0;
    for coding in &mut codings {
        let coding = coding.trim_ascii();
        is_unknown |= !(coding.is_empty() || coding.eq_ignore_ascii_case(b"chunked"));
        count += 1;
    }
    match (is_unknown, count) {
        (true, _) => Some(Refusal::UnknownCoding),
        (false, 0 | 1) => None,
        (false, _) => Some(Refusal::RepeatedCoding),
    }
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
