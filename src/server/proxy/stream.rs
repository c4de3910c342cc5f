//! Streams, which may be silent for long: connections of `WebSocket`, server-sent events, gRPC.
//!
//! The time limits of bodies and answers do not apply to them. The customer, the shop, or the revocation of their token
//! ends them.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};

/// How long a shop may be silent on one of them, in case its end of the connection has vanished.
pub(crate) const STREAM_SILENCE_MAX: Duration = Duration::from_hours(1);

/// Whether a request asks for one.
pub(crate) fn is_wanted(request: &RequestHeader) -> bool {
    is_itself(request) || has(&request.headers, &ACCEPT, is_events)
}

/// Whether a request is one whatever its answer will be. A client that would also accept events may be sending an order.
pub(crate) fn is_itself(request: &RequestHeader) -> bool {
    is_web_socket(request) || has(&request.headers, &CONTENT_TYPE, is_grpc)
}

/// Whether a request asks for a WebSocket.
pub(crate) fn is_web_socket(request: &RequestHeader) -> bool {
    has(&request.headers, &UPGRADE, |word| {
        word.eq_ignore_ascii_case("websocket")
    })
}

/// Whether an answer is the beginning of one.
pub(crate) fn is_begun(response: &ResponseHeader) -> bool {
    response.status == StatusCode::SWITCHING_PROTOCOLS
        || has(&response.headers, &CONTENT_TYPE, |kind| {
            is_events(kind) || is_grpc(kind)
        })
}

/// The media type of server-sent events (HTML, section 9.2).
fn is_events(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("text/event-stream")
}

/// `application/grpc`, with or without the name of a format.
fn is_grpc(kind: &str) -> bool {
    const GRPC: &str = "application/grpc";
    let begin = kind.get(..GRPC.len());
    let rest = kind.get(GRPC.len()..).unwrap_or_default();
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(GRPC))
        && (rest.is_empty() || rest.starts_with('+'))
}

/// Whether one of the values of a list is so, without its parameters.
fn has(headers: &HeaderMap, name: &HeaderName, so: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).iter();
    let mut values = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    values.any(|value| so(value.split(';').next().unwrap_or_default().trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(name: &'static str, value: &str) -> bool {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header(name, value).unwrap();
        is_wanted(&request)
    }

    #[test]
    fn streams_are_known_by_what_asks_for_them() {
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("accept", "text/event-stream"),
            ("accept", "text/html;q=0.1, Text/Event-Stream;q=1"),
            ("content-type", "application/grpc"),
            ("content-type", "application/grpc+proto; charset=utf-8"),
        ] {
            assert!(wants(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("upgrade", "h2c"),
            ("accept", "*/*"),
            ("accept", "text/html; x=\"text/event-stream"),
            ("content-type", "application/grpc-web"),
            ("content-type", "application/json"),
        ] {
            assert!(!wants(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn streams_are_known_by_how_they_begin() {
        let begins = |status, kind: &str| {
            let mut response = ResponseHeader::build(status, None).unwrap();
            response.insert_header("content-type", kind).unwrap();
            is_begun(&response)
        };
        assert!(begins(101, ""));
        assert!(begins(200, "text/event-stream; charset=utf-8"));
        assert!(begins(200, "application/grpc"));
        assert!(!begins(200, "text/html"));
        assert!(!begins(103, "text/html"));
    }
}
