//! The parameters and the media type of a request, as the laxest shop reads them.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;

use super::names::is_called;
use crate::request::answers::Refusal;
use crate::request::calls::Request;

/// The only parameter of a name in a query or form. Most shops split parameters at `&`, some also at `;`: a parameter that
/// differs between the two is refused.
pub(in crate::request) fn only_parameter<'a>(
    name: &str,
    pairs: &'a [u8],
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let one = only_parameter_split_by(name, pairs, b"&")?;
    if !pairs.contains(&b';') {
        return Ok(one);
    }
    match (one, only_parameter_split_by(name, pairs, b"&;")?) {
        (Some(one), Some(other)) if one != other => Err(Refusal::MalformedCredential),
        (one, other) => Ok(other.or(one)),
    }
}

fn only_parameter_split_by<'a>(
    name: &str,
    pairs: &'a [u8],
    separators: &[u8],
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let mut only = None;
    for piece in pairs.split(|byte| separators.contains(byte)) {
        for (given, value) in form_urlencoded::parse(piece) {
            if is_called(&given, name) {
                if only.is_some() {
                    return Err(Refusal::TwoCredentials);
                }
                only = Some(value);
            }
        }
    }
    Ok(only.filter(|value| !value.is_empty()))
}

/// All `Content-Type` lines, in lower case.
pub(in crate::request) fn content_type(request: &Request<'_>) -> String {
    content_type_as_sent(request).to_ascii_lowercase()
}

/// All `Content-Type` lines, in their original case.
pub(in crate::request) fn content_type_as_sent(request: &Request<'_>) -> String {
    let lines = request.head.headers.get_all(CONTENT_TYPE).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.collect::<Vec<_>>().join(",")
}

/// Whether a multipart body could hold a part of this name.
pub(in crate::request) fn has_part(name: &str, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    text.split("name").skip(1).any(|rest| {
        let rest = rest.trim_start_matches(['*', ' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            return false;
        };
        let value = value.trim_start_matches([' ', '\t', '"', '\'']);
        let value = value
            .split(['"', ';', '\r', '\n'])
            .next()
            .unwrap_or_default();
        let value = value.rsplit("''").next().unwrap_or_default();
        let value = percent_decode_str(value.trim_end_matches(['\'', ' '])).decode_utf8_lossy();
        is_called(&value, &name)
    })
}
