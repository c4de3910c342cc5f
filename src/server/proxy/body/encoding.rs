//! Bodies with a `Content-Encoding`: decoded for the examination, and forwarded unchanged.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::budget::BodyShare;
use super::read_ahead::BODY_BYTES_MAX;
use crate::request::Refusal;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, once (RFC 1952).
    Gzip,
    /// Another coding, or several.
    Unknown,
}

impl Encoding {
    /// What the header says, all lines of it (RFC 9110 section 8.4).
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(CONTENT_ENCODING).iter();
        let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let codings = codings
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !(coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")));
        codings.fold(Self::Identity, |known, coding| {
            let is_gzip = [&b"gzip"[..], b"x-gzip"]
                .iter()
                .any(|name| coding.eq_ignore_ascii_case(name));
            match known {
                Self::Identity if is_gzip => Self::Gzip,
                Self::Identity | Self::Gzip | Self::Unknown => Self::Unknown,
            }
        })
    }
}

/// The length of text that a form needs for a name and a token. Compressed bytes hold no text of this length, unless they repeat.
const TEXT_BYTES_MAX: usize = 24;

/// What a whole gzip body holds, as far as a body is read ahead at all; so the ratio is bounded, too.
///
/// A shop that ignores the encoding would read the bytes as they came, so they must not read as a form. One that stops at
/// the end of the first member would read less than one that goes on, so there must be only one.
pub(crate) fn decode_gzip(body: &[u8], share: &BodyShare) -> Result<Bytes, Refusal> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let mut texts = body.split(|byte| !is_text(byte));
    if texts.any(|text| text.len() >= TEXT_BYTES_MAX && text.contains(&b'=')) {
        return Err(Refusal::EncodedBody);
    }
    let mut rest = body;
    let mut decoded = Vec::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let read = GzDecoder::new(&mut rest)
        .take(limit)
        .read_to_end(&mut decoded);
    if decoded.len() > BODY_BYTES_MAX {
        return Err(Refusal::UnreadableBody);
    }
    if read.is_err() || !rest.is_empty() {
        return Err(Refusal::EncodedBody);
    }
    share.hold(body.len() + decoded.len())?;
    Ok(decoded.into())
}
