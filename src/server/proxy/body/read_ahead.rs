//! Reading a request body ahead, or discarding it to keep the connection.

use std::future::poll_fn;
use std::time::Duration;

use super::budget::BodyShare;
use crate::request::Refusal;
use bytes::Bytes;
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

/// How much of a body is read ahead: as much as Pingora keeps for forwarding. More would be lost.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

/// The most that one read of HTTP/2 returns; it is counted before it is read.
const PART_BYTES: usize = 16 << 10;

/// How long all of it may take, so that a byte a minute does not hold a connection.
const READ_AHEAD_MAX: Duration = Duration::from_mins(2);

/// How much of an HTTP/2 body is discarded, and for how long.
const THROWN_AWAY_MAX: usize = 1 << 20;
const THROW_AWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that was to be read before the request is judged.
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// It can't be examined. These bytes were read, and Pingora would not forward them.
    Unreadable(Refusal, Bytes),
}

/// How a body is read ahead.
pub(crate) struct ReadAhead<'s> {
    /// How long the client may be silent between two parts of it.
    pub(crate) silence_max: Duration,
    /// Counts the bytes that are kept.
    pub(crate) share: &'s BodyShare,
    /// Whether the shop is sent it although it can't be examined.
    pub(crate) passes_unread: bool,
}

/// Reads a body as far as Pingora keeps it for forwarding.
pub(crate) async fn read_body(session: &mut Session, how: ReadAhead<'_>) -> Result<Body> {
    match timeout(READ_AHEAD_MAX, read_all(session, how)).await {
        Ok(read) => read,
        Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
    }
}

/// Pingora keeps the parts until all are read; it forgets a body that is too long.
async fn read_all(session: &mut Session, how: ReadAhead<'_>) -> Result<Body> {
    let headers = &session.req_header().headers;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Ok(Body::Unreadable(Refusal::UnreadableBody, Bytes::new()));
    }
    let may_wait = session.req_header().version > Version::HTTP_10; // RFC 9110 section 10.1.1
    if may_wait && headers.contains_key(EXPECT) && !session.is_body_empty() {
        session.write_continue_response().await?;
    }
    session.enable_retry_buffering();
    let mut length = 0;
    let mut kept = Vec::new();
    loop {
        let left = announced.map_or(PART_BYTES, |announced| announced.saturating_sub(length));
        if let Err(refusal) = how.share.hold(length + left.min(PART_BYTES)) {
            return Ok(Body::Unreadable(refusal, Bytes::new()));
        }
        let Some(part) = read_part(session, how.silence_max).await? else {
            break;
        };
        length += part.len();
        if how.passes_unread {
            kept.extend_from_slice(&part);
        }
        if length > BODY_BYTES_MAX {
            return Ok(Body::Unreadable(Refusal::UnreadableBody, kept.into()));
        }
    }
    drop(kept);
    if let Err(refusal) = how.share.hold(length) {
        return Ok(Body::Unreadable(refusal, Bytes::new()));
    }
    let body = session.as_ref().get_retry_buffer();
    Ok(Body::Whole(body.unwrap_or_default()))
}

/// Answers a client that waits for `100 Continue` where the shop's can't reach it: Pingora passes it on from HTTP/1.1 to
/// HTTP/1.1 alone. A body that was read, or that is on its way, is not waited for again.
pub(crate) async fn answer_expectation(
    session: &mut Session,
    upstream: &mut RequestHeader,
) -> Result<()> {
    if !upstream.headers.contains_key(EXPECT) {
        return Ok(());
    }
    let is_told = session.response_written().is_some();
    let (client, is_http2) = (
        session.req_header().version,
        upstream.version == Version::HTTP_2,
    );
    if is_http2 && client == Version::HTTP_11 && !is_told && !session.is_body_empty() {
        session.write_continue_response().await?;
    }
    if is_told || is_http2 || client != Version::HTTP_11 {
        upstream.remove_header(&EXPECT);
    }
    Ok(())
}

/// Pingora has a timeout for HTTP/1 only.
async fn read_part(session: &mut Session, silence_max: Duration) -> Result<Option<Bytes>> {
    match timeout(silence_max, session.read_request_body()).await {
        Ok(part) => part.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
    }
}

/// Whether a client that is answered may still be sending, on a connection or a stream that ends.
pub(crate) fn would_be_cut_off(session: &mut Session) -> bool {
    let waits = session.req_header().headers.contains_key(EXPECT);
    let ends = session.is_http2() || session.get_keepalive().is_none() && !waits;
    ends && !session.is_body_done()
}

/// Discards what still arrives of a body after the answer, for a while. Otherwise a stream of HTTP/2 is reset, and a connection
/// of HTTP/1 as soon as it is closed; curl 7 and nginx then drop the complete answer (RFC 9113 section 8.1, RFC 9112 section 9.6).
pub(crate) async fn throw_away(session: &mut Session) {
    let taking = async {
        match session.as_downstream_mut() {
            ServerSession::H1(stream) => while let Ok(Some(_)) = stream.read_body_bytes().await {},
            ServerSession::H2(stream) => {
                let mut taken = 0;
                // Not as a body is read otherwise: that would be kept for a shop.
                while let Some(Ok(chunk)) =
                    poll_fn(|context| stream.poll_read_body_bytes(context)).await
                {
                    taken += chunk.len();
                    if taken > THROWN_AWAY_MAX {
                        break;
                    }
                }
            }
            ServerSession::Subrequest(_) | ServerSession::Custom(_) => {}
        }
    };
    let _ = timeout(THROW_AWAY_TIMEOUT, taking).await;
}

/// Whether the rest of the body is short enough to be read to keep the connection.
pub(crate) fn is_short(session: &mut Session) -> bool {
    if session.is_body_empty() {
        return true;
    }
    let headers = &session.req_header().headers;
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let short = length.is_some_and(|length| {
        length
            .parse()
            .is_ok_and(|length: usize| length <= BODY_BYTES_MAX)
    });
    short && !headers.contains_key(TRANSFER_ENCODING) && !headers.contains_key(EXPECT)
}
