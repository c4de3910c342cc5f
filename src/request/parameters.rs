//! Credentials in queries and bodies, found as the laxest shop would find them.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Request;
use super::json::{self, Pointer};
use super::refusal::Refusal;

/// The only parameter of that name in a query or form. Most shops part parameters by `&`, some by `;` too:
/// if that makes a difference, nobody knows which one ours would take.
pub(super) fn take_pair<'a>(name: &str, pairs: &'a [u8]) -> Result<Option<Cow<'a, str>>, Refusal> {
    let one = take_parted(name, pairs, b"&")?;
    if !pairs.contains(&b';') {
        return Ok(one);
    }
    match (one, take_parted(name, pairs, b"&;")?) {
        (Some(one), Some(other)) if one != other => Err(Refusal::MalformedCredential),
        (one, other) => Ok(other.or(one)),
    }
}

fn take_parted<'a>(
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

/// The string at a place of a JSON body, whatever the body is said to be.
pub(super) fn take_json(
    pointer: &Pointer,
    request: &Request<'_>,
) -> Result<Option<String>, Refusal> {
    let body = request.body.unwrap_or_default();
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let says_json = content_type(request).contains("json");
    let looks_like_it = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if body.is_empty() || !(says_json || looks_like_it) {
        return Ok(None);
    }
    let Some(value) = json::parse(body) else {
        // It claims to be JSON and is none, or it is JSON to others, with a name that stands twice: it could
        // hide one from us alone.
        let is_lax_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        return if says_json || is_lax_json {
            Err(Refusal::MalformedCredential)
        } else {
            Ok(None)
        };
    };
    match pointer.find_all(&value).as_slice() {
        [] => Ok(None),
        [Value::String(text)] if text.is_empty() => Ok(None),
        [Value::String(text)] => Ok(Some(text.clone())),
        [_] => Err(Refusal::MalformedCredential),
        [_, _, ..] => Err(Refusal::TwoCredentials),
    }
}

/// The only field of that name in a form, whatever the body is said to be.
pub(super) fn take_form<'a>(
    name: &str,
    request: &Request<'a>,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let body = request.body.unwrap_or_default();
    let kind = content_type(request);
    // Reading multipart as every shop does is a parser of its own; a token has no business in there.
    if kind.contains("multipart/") && has_part(name, body) {
        return Err(Refusal::MalformedCredential);
    }
    let is_json = kind.contains("json") && !kind.contains("form") && json::parse(body).is_some();
    let is_multipart = kind.starts_with("multipart/") && !kind.contains("urlencoded");
    if is_multipart || is_json {
        return Ok(None);
    }
    take_pair(name, body)
}

/// What the body is said to be, all lines of it, in small letters.
pub(super) fn content_type(request: &Request<'_>) -> String {
    let lines = request.head.headers.get_all(CONTENT_TYPE).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase());
    lines.collect::<Vec<_>>().join(",")
}

/// Whether a decoded name is `name` to a shop. Some compare without case. PHP strips spaces before it, ends it at a NUL or an array's
/// bracket, and makes an underscore of what a variable can't have.
pub(super) fn is_called(given: &str, name: &str) -> bool {
    is_called_by(given, |one| one.eq_ignore_ascii_case(name))
}

/// The same, for any way of comparing names.
pub(super) fn is_called_by(given: &str, fits: impl Fn(&str) -> bool) -> bool {
    if fits(given) {
        return true;
    }
    let given = given.trim_start().split('\0').next().unwrap_or_default();
    let variable = given.replace(['.', ' '], "_");
    let base = variable.split('[').next().unwrap_or_default();
    fits(base) || fits(&variable.replace('[', "_"))
}

/// Whether a multipart body could have a part of this name.
pub(super) fn has_part(name: &str, body: &[u8]) -> bool {
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
