//! Request bodies: read ahead where they matter, or thrown away for the sake of the connection.

use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

/// How much of a body is read ahead: what Pingora keeps for sending it on. More would be lost.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How long all of it may take: nobody may hold a place with a byte a minute.
const READ_AHEAD_MAX: Duration = Duration::from_mins(2);

/// How much is thrown away of a body of HTTP/2, and for how long.
const THROWN_AWAY_MAX: usize = 1 << 20;
const THROW_AWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that was to be read before the request is judged.
pub(super) enum Body {
    /// It was not asked for, and goes to the shop as it comes.
    Unread,
    /// All of it.
    Whole(Bytes),
    /// More than can be kept; this was read of it, and would be lost on the way to the shop.
    TooLong(Bytes),
}

/// Reads a body as far as it is kept for sending it on; between two parts of it, the client may be silent for so long.
pub(super) async fn read(session: &mut Session, silence_max: Duration) -> Result<Body> {
    match timeout(READ_AHEAD_MAX, read_all(session, silence_max)).await {
        Ok(read) => read,
        Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
    }
}

async fn read_all(session: &mut Session, silence_max: Duration) -> Result<Body> {
    let headers = &session.req_header().headers;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Ok(Body::TooLong(Bytes::new()));
    }
    let may_wait = session.req_header().version > Version::HTTP_10; // RFC 9110 section 10.1.1
    if may_wait && headers.contains_key(EXPECT) && !session.is_body_empty() {
        session.write_continue_response().await?;
    }
    session.enable_retry_buffering();
    let mut body = Vec::new();
    while let Some(chunk) = read_part(session, silence_max).await? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            return Ok(Body::TooLong(body.into()));
        }
    }
    Ok(Body::Whole(body.into()))
}

/// Pingora has a timeout for HTTP/1 only.
async fn read_part(session: &mut Session, silence_max: Duration) -> Result<Option<Bytes>> {
    match timeout(silence_max, session.read_request_body()).await {
        Ok(part) => part.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
    }
}

/// Takes what is still coming of a body of HTTP/2, after the answer to it: a stream is reset when nobody takes it,
/// and curl 7 forgets the answer then, although it is whole (RFC 9113 section 8.1).
pub(super) async fn throw_away(session: &mut Session) {
    let taking = async {
        let mut taken = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            taken += chunk.len();
            if taken > THROWN_AWAY_MAX {
                break;
            }
        }
    };
    let _ = timeout(THROW_AWAY_TIMEOUT, taking).await;
}

/// Whether what is left of the body is short enough to be read for the sake of the connection.
pub(super) fn is_short(session: &mut Session) -> bool {
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
