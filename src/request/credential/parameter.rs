//! Credentials in parameters of a query, a form, a multipart body or a JSON body. Frameworks merge them, so each is looked up in
//! all of them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::Value;
use smallvec::SmallVec;

use crate::request::answers::Refusal;
use crate::request::calls::Request;
use crate::request::payload::{
    Pointer, content_type, content_type_as_sent, is_called, json, multipart,
};

/// A value of a parameter, and whether every parser reads it so.
pub(super) type Values<'a> = SmallVec<[(Cow<'a, str>, bool); 1]>;

/// The pairs of a query or a form, decoded once for all places that look for one of them.
pub(super) struct ParameterPairs<'a> {
    /// Split at `&`, as every parser does.
    common: Decoded<'a>,
    /// Also split at `;`, as some parsers do; empty where that makes no difference.
    parted: Decoded<'a>,
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);
type Decoded<'a> = SmallVec<[Pair<'a>; 4]>;

impl<'a> ParameterPairs<'a> {
    pub(super) fn parse(pairs: &'a [u8]) -> Self {
        let pieces = pairs.split(|byte| *byte == b'&');
        let common = pieces.filter_map(decoded).collect();
        let mut parted = Decoded::new();
        if memchr::memchr(b';', pairs).is_some() {
            let pieces = pairs.split(|byte| matches!(byte, b'&' | b';'));
            parted.extend(pieces.filter_map(decoded));
        }
        Self { common, parted }
    }

    /// The values of a parameter of such a name, in every reading.
    pub(super) fn values(&self, is_name: impl Fn(&str) -> bool) -> Values<'a> {
        let mut values = Values::new();
        for (pairs, is_common) in [(&self.common, true), (&self.parted, false)] {
            let named = pairs.iter().filter(|(given, _)| is_name(given));
            named.for_each(|(_, value)| add_readings(value.clone(), is_common, &mut values));
        }
        values
    }
}

/// The pair in a piece. Most need no decoding.
fn decoded(piece: &[u8]) -> Option<Pair<'_>> {
    let is_plain = |byte: &u8| byte.is_ascii() && !matches!(byte, b'%' | b'+');
    if !piece.iter().all(is_plain) {
        return form_urlencoded::parse(piece).next();
    }
    let piece = std::str::from_utf8(piece)
        .ok()
        .filter(|it| !it.is_empty())?;
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    Some((Cow::Borrowed(name), Cow::Borrowed(value)))
}

/// The values of a parameter of such a name in the segments of a path (RFC 3986 section 3.3), where servlets look for the
/// session of a browser without cookies.
pub(super) fn values_in_path(is_name: impl Fn(&str) -> bool, path: &str) -> Values<'_> {
    let mut values = Values::new();
    if memchr::memchr(b';', path.as_bytes()).is_none() {
        return values;
    }
    let parameters = path
        .split('/')
        .flat_map(|segment| segment.split(';').skip(1));
    for (name, value) in parameters.filter_map(|one| one.split_once('=')) {
        if is_name(name) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            add_readings(value, false, &mut values);
        }
    }
    values
}

/// Adds a decoded value, and its readings by servers that decode twice, or decode `%u0041` as old ASP does.
fn add_readings<'a>(value: Cow<'a, str>, is_common: bool, values: &mut Values<'a>) {
    if value.is_empty() {
        return;
    }
    let twice = value.contains('%').then(|| decoded_again(&value));
    add(value, is_common, values);
    for reading in twice.into_iter().flatten() {
        add(Cow::Owned(reading), false, values);
    }
}

/// Adds a value. A common value is kept each time, so that a repeated parameter is noticed.
fn add<'a>(value: Cow<'a, str>, is_common: bool, values: &mut Values<'a>) {
    if is_common || !values.iter().any(|(known, _)| *known == value) {
        values.push((value, is_common));
    }
}

/// The readings of a decoded text by servers that decode it again.
pub(super) fn decoded_again(text: &str) -> [String; 2] {
    let twice = percent_decode_str(text).decode_utf8_lossy().into_owned();
    [twice, without_u(text)]
}

/// `%u0041` for `A`.
pub(super) fn without_u(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("%u") {
        plain.push_str(&rest[..at]);
        let digits = rest.get(at + 2..at + 6);
        let letter = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(letter) = letter.and_then(char::from_u32) else {
            plain.push_str("%u");
            rest = &rest[at + 2..];
            continue;
        };
        plain.push(letter);
        rest = &rest[at + 6..];
    }
    plain.push_str(rest);
    plain
}

/// The values of a field of a form or multipart body, whatever its `Content-Type`.
pub(super) fn values_in_form<'a>(name: &str, request: &Request<'a>) -> Values<'a> {
    let body = request.body.unwrap_or_default();
    let kind = content_type(request);
    let is_name = |given: &str| is_called(given, name);
    if kind.contains("multipart/") {
        let mut values = Values::new();
        for (given, value) in multipart::fields(&content_type_as_sent(request), body) {
            if is_name(&given) {
                let is_first = values.is_empty();
                add_readings(value, is_first, &mut values);
            }
        }
        // Some servers use another line of the header.
        let pairs = form_urlencoded::parse(body).filter(|(given, _)| is_name(given));
        pairs.for_each(|(_, value)| add_readings(value, false, &mut values));
        return values;
    }
    let is_json = kind.contains("json") && !kind.contains("form") && json::parse(body).is_some();
    if is_json {
        return Values::new();
    }
    ParameterPairs::parse(body).values(is_name)
}

/// The values at a place of a JSON body, whatever its `Content-Type`.
pub(super) fn values_in_json<'a>(
    pointer: &Pointer,
    request: &Request<'a>,
) -> Result<Values<'a>, Refusal> {
    let body = request.body.unwrap_or_default();
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let says_json = content_type(request).contains("json");
    let looks_like_it = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if body.is_empty() || !(says_json || looks_like_it) {
        return Ok(Values::new());
    }
    let Some(value) = json::parse(body) else {
        // It claims to be JSON and is not, or it repeats a name: another parser could find a credential in it.
        let is_lax_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        return if says_json || is_lax_json {
            Err(Refusal::MalformedCredential)
        } else {
            Ok(Values::new())
        };
    };
    let mut values = Values::new();
    for found in pointer.find_all(&value) {
        add_texts(found, true, &mut values);
    }
    Ok(values)
}

/// Adds a text, a number as a text, and those inside a list or an object.
fn add_texts(value: &Value, is_common: bool, values: &mut Values<'_>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            add(Cow::Owned(text.clone()), is_common, values);
        }
        Value::Number(number) => add(Cow::Owned(number.to_string()), is_common, values),
        Value::Array(items) => items.iter().for_each(|item| add_texts(item, false, values)),
        Value::Object(members) => {
            members
                .values()
                .for_each(|item| add_texts(item, false, values));
        }
        Value::String(_) | Value::Null | Value::Bool(_) => {}
    }
}
