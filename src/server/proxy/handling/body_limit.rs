//! The longest body that a route allows.
//!
//! A body whose length is known is refused before the shop sees a byte. Of others the bytes are counted on their way, and the
//! exchange with the shop is dropped before the first one too many.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use crate::request::Shop;
use crate::server::proxy::context::Context;
use crate::server::proxy::service::Proxy;

/// The error of a body that turns out to be too long.
pub(crate) const BODY_TOO_LARGE: ErrorType = ErrorType::Custom("BodyTooLarge");

impl Proxy {
    /// Whether a request to a shop is known to have a longer body than its route allows, before anything is sent.
    pub(crate) fn is_body_too_large(
        &self,
        session: &Session,
        context: &Context,
        shop: &Shop,
    ) -> bool {
        let limit = shop.routes.handling(context.route()).body_limit;
        let is_exceeded = limit.is_some_and(|limit| is_exceeded(session, context, limit));
        if is_exceeded {
            self.metrics.note_limit("body_limit");
        }
        is_exceeded
    }
}

/// Whether so much of a body is announced, or was read ahead, that it is longer than this.
fn is_exceeded(session: &Session, context: &Context, limit: u64) -> bool {
    let headers = &session.req_header().headers;
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let read = session.as_ref().get_retry_buffer().unwrap_or_default();
    let read = [context.read_ahead.len(), read.len()].map(length_of);
    announced.is_some_and(|length| length > limit) || read.into_iter().any(|read| read > limit)
}

/// Counts a part of a body on its way to the shop.
pub(crate) fn count(session: &Session, context: &mut Context, part: Option<&Bytes>) -> Result<()> {
    let Some(limit) = context.handling().and_then(|handling| handling.body_limit) else {
        return Ok(());
    };
    if session.was_upgraded() {
        return Ok(()); // no body, but what the two sides of a WebSocket say
    }
    context.body_sent += part.map_or(0, |part| length_of(part.len()));
    if context.body_sent > limit {
        return Err(Error::new_down(BODY_TOO_LARGE));
    }
    Ok(())
}

fn length_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
