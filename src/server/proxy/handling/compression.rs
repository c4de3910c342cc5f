//! Answers that are compressed on their way to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName, Method, Version};
use log::warn;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr, Result};

use super::encoder::BodyEncoder;
use crate::request::{Answer, Compression, ContentCoding};
use crate::server::proxy::context::Context;
use crate::server::proxy::stream;

/// Changes the head of an answer that will be compressed; the context has the encoder from then on.
pub(crate) fn begin(
    request: &RequestHeader,
    response: &mut ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    context.encoder = None;
    let Some(compression) = compression_for(context) else {
        return Ok(());
    };
    let is_whole = !stream::is_begun(response);
    if !is_whole || !compression.fits(response.status, &response.headers) {
        return Ok(());
    }
    if !varies(&response.headers) {
        response.append_header(VARY, "Accept-Encoding")?;
    }
    let coding = ContentCoding::accepted(&request.headers);
    let Some(coding) = coding.filter(|_| request.method != Method::HEAD) else {
        return Ok(());
    };
    let encoder = BodyEncoder::new(coding, compression.level);
    context.encoder = Some(encoder.or_err(ErrorType::InternalError, "no encoder")?);
    response.insert_header(CONTENT_ENCODING, coding.name())?;
    response.remove_header(&CONTENT_LENGTH);
    response.remove_header(&ACCEPT_RANGES); // ranges are of what the shop sends
    if request.version == Version::HTTP_11 {
        response.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    let tag = weakened(&response.headers);
    response.remove_header(&ETAG);
    tag.map_or(Ok(()), |tag| response.insert_header(ETAG, tag))
}

/// Encodes a part of the body. A part that holds nothing is not sent: it would be the end.
pub(crate) fn encode(body: &mut Option<Bytes>, is_end: bool, context: &mut Context) -> Result<()> {
    let Some(mut encoder) = context.encoder.take() else {
        return Ok(());
    };
    let part = body.take().unwrap_or_default();
    let sent = if is_end {
        encoder.finish(&part)
    } else if part.is_empty() {
        context.encoder = Some(encoder);
        return Ok(());
    } else {
        let sent = encoder.encode(&part);
        context.encoder = Some(encoder);
        sent
    };
    let sent = sent.or_err(ErrorType::InternalError, "an answer can't be compressed")?;
    *body = Some(sent).filter(|sent| !sent.is_empty());
    Ok(())
}

/// Compresses an answer of a route itself.
pub(crate) fn compress_answer(request: &RequestHeader, context: &Context, answer: &mut Answer) {
    let Some(compression) = compression_for(context) else {
        return;
    };
    let length = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    let is_long = length > 0 && length >= compression.size_min;
    if !is_long || !compression.fits(answer.status, &answer.headers) {
        return;
    }
    if !varies(&answer.headers) {
        let vary = HeaderValue::from_static("Accept-Encoding");
        answer.headers.append(VARY, vary);
    }
    let Some(coding) = ContentCoding::accepted(&request.headers) else {
        return;
    };
    let encoder = BodyEncoder::new(coding, compression.level);
    match encoder.and_then(|encoder| encoder.finish(&answer.body)) {
        Ok(body) => {
            let headers = &mut answer.headers;
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            let tag = weakened(headers);
            headers.remove(ETAG);
            headers.extend(tag.map(|tag| (ETAG, tag)));
            answer.body = body;
        }
        Err(error) => warn!("an answer can't be compressed: {error}"),
    }
}

fn compression_for(context: &Context) -> Option<Arc<Compression>> {
    context.handling()?.compression.clone()
}

/// Whether an answer says already that it depends on what codings are accepted.
fn varies(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, so: fn(&str) -> bool| {
        let lines = headers.get_all(name).iter();
        let mut words = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
        words.any(|word| so(word.trim()))
    };
    says(&VARY, |word| {
        word == "*" || word.eq_ignore_ascii_case("accept-encoding")
    })
}

/// The validator of an answer that is not the same byte for byte any more (RFC 9110 section 8.8.1). `None`: it has none, or none
/// that can be read.
fn weakened(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG)?.as_bytes();
    if tag.starts_with(b"W/") {
        return HeaderValue::from_bytes(tag).ok();
    }
    let is_strong = tag.starts_with(b"\"");
    is_strong
        .then(|| HeaderValue::from_bytes(&[b"W/", tag].concat()).ok())
        .flatten()
}
