//! The text values of a body, wherever they stand: each may be a revoked token.

use std::borrow::Cow;

use super::parameter::decoded_again;
use crate::request::calls::Request;
use crate::request::payload::{content_type, content_type_as_sent, multipart};

/// The shortest and the longest text that is looked up: no token is shorter, and longer ones are not parsed.
const BYTES_MIN: usize = 6;
const BYTES_MAX: usize = 16 << 10;

/// Calls `look` with every text value of a body, until it returns a value.
///
/// Strings are found as the laxest parser of JSON would find them: in single or double quotes, with strings inside strings, and
/// without the names of members. Forms are split at `&`, `;` and line ends, and decoded once and twice. UTF-16 is read by
/// leaving out the zero bytes.
pub(in crate::request) fn find_in_texts<T>(
    request: &Request<'_>,
    look: &mut impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    let body = request.body?;
    let kind = content_type(request);
    if kind.contains("multipart/") {
        let written = content_type_as_sent(request);
        let mut fields = multipart::fields(&written, body);
        if let Some(found) = fields.find_map(|(_, value)| look_inside(&value, look)) {
            return Some(found);
        }
    }
    if memchr::memchr(0, body).is_some() {
        let letters: Vec<u8> = body.iter().copied().filter(|byte| *byte != 0).collect();
        if let Some(found) = texts_in(&letters, &kind, look) {
            return Some(found);
        }
    }
    texts_in(body, &kind, look)
}

/// Whether the `Content-Type` names a charset in which the letters of a token are other bytes, such as UTF-7 (which Express
/// decodes) or EBCDIC (which servlets decode). No token could be found in such a body.
pub(in crate::request) fn has_foreign_charset(request: &Request<'_>) -> bool {
    const LIKE_ASCII: [&str; 26] = [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "iso-8859",
        "iso8859",
        "iso_8859",
        "latin",
        "l1",
        "windows-",
        "cp125",
        "utf-16",
        "utf16",
        "utf-32",
        "utf32",
        "ucs-2",
        "ucs2",
        "gb",
        "big5",
        "shift",
        "sjis",
        "euc",
        "koi8",
        "macintosh",
        "tis-620",
        "binary",
    ];
    let kind = content_type(request);
    let mut charsets = kind.split("charset").skip(1).filter_map(|rest| {
        let named = rest
            .trim_start_matches(['*', ' ', '\t'])
            .strip_prefix('=')?;
        Some(named.trim_start_matches([' ', '\t', '"', '\'']))
    });
    charsets.any(|name| !name.is_empty() && !LIKE_ASCII.iter().any(|known| name.starts_with(known)))
}

fn texts_in<T>(body: &[u8], kind: &str, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text), // in a fraction of the time
        Err(_) => String::from_utf8_lossy(body),
    };
    let is_json = kind.contains("json")
        || matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    if is_json && let Some(found) = strings_in(&text, BYTES_MIN, look) {
        return Some(found);
    }
    if kind.contains("json") && !kind.contains("urlencoded") {
        return None;
    }
    values_in(&text, look)
}

/// A field of a form, which may itself be JSON.
fn look_inside<T>(value: &str, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    if !fits(value) {
        return strings_in(value, BYTES_MIN, look);
    }
    look(value).or_else(|| strings_in(value, BYTES_MIN, look))
}

fn fits(text: &str) -> bool {
    (BYTES_MIN..=BYTES_MAX).contains(&text.len())
}

/// The strings in a text, and the strings inside these.
pub(super) fn strings_in<T>(
    text: &str,
    bytes_min: usize,
    look: &mut impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    let mut rest = text;
    // Byte by byte, here and below: most strings are too short for `memchr` to be faster.
    while let Some(start) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\'')) {
        let quote = rest.as_bytes()[start];
        let begin = &rest[start + 1..];
        let (end, has_escapes) = end_of_string(begin.as_bytes(), quote);
        let raw = &begin[..end];
        let after = begin.get(end + 1..).unwrap_or_default();
        let is_name = after.trim_ascii_start().starts_with(':'); // of a member
        if raw.len() >= bytes_min && !is_name {
            let string = if has_escapes {
                Cow::Owned(unescape(raw))
            } else {
                Cow::Borrowed(raw)
            };
            if (bytes_min..=BYTES_MAX).contains(&string.len())
                && let Some(found) = look(&string)
            {
                return Some(found);
            }
            let has_inner = has_escapes || quote == b'\'' || string.contains('\'');
            if has_inner && let Some(found) = inner_strings(&string, look) {
                return Some(found);
            }
        }
        rest = after;
    }
    None
}

/// The strings inside a string, as of GraphQL in JSON.
fn inner_strings<T>(text: &str, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    let pieces = text.split(['"', '\'']).skip(1);
    let mut pieces = pieces
        .map(|piece| piece.trim_end_matches('\\'))
        .filter(|piece| fits(piece));
    pieces.find_map(look)
}

/// Where a string ends, and whether it holds escapes.
fn end_of_string(text: &[u8], quote: u8) -> (usize, bool) {
    let mut at = 0;
    let mut has_escapes = false;
    let is_found = |byte: &u8| *byte == quote || *byte == b'\\';
    while let Some(next) = text[at..].iter().position(is_found) {
        at += next;
        if text[at] == quote {
            return (at, has_escapes);
        }
        has_escapes = true;
        at += 2;
        if at >= text.len() {
            break;
        }
    }
    (text.len(), has_escapes)
}

/// Decodes the escapes of JSON (RFC 8259 section 7), and those of laxer parsers.
fn unescape(raw: &str) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut letters = rest.chars();
        let Some(letter) = letters.next() else { break };
        let digits = match letter {
            'u' => rest.get(1..5),
            'x' => rest.get(1..3),
            _ => None,
        };
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let (Some(code), Some(digits)) = (code, digits) {
            plain.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[1 + digits.len()..];
            continue;
        }
        plain.push(match letter {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            other => other,
        });
        rest = letters.as_str();
    }
    plain.push_str(rest);
    plain
}

/// The values of a form, decoded.
fn values_in<T>(text: &str, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    for piece in text.split(['&', ';', '\r', '\n']) {
        for (name, value) in form_urlencoded::parse(piece.as_bytes()) {
            let parts = [name, value];
            for part in parts.iter().filter(|part| fits(part)) {
                let twice = part.contains('%').then(|| decoded_again(part));
                let mut readings =
                    std::iter::once(&**part).chain(twice.iter().flatten().map(String::as_str));
                if let Some(found) = readings.find_map(|reading| look_inside(reading, look)) {
                    return Some(found);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: &str, body: &str) -> Vec<String> {
        let mut found = Vec::new();
        let none: Option<()> = texts_in(body.as_bytes(), kind, &mut |text| {
            found.push(text.to_owned());
            None
        });
        assert!(none.is_none());
        found
    }

    #[test]
    fn a_value_is_found_in_every_body_that_a_shop_could_read_attacks_a2() {
        for (kind, body) in [
            ("application/json", r#"{"a":{"b":["TOKEN-12345"]}}"#),
            ("application/json", r#"{"a":"\u0054OKEN-12345"}"#),
            ("application/json", r"{'a':'TOKEN-12345'}"),
            ("application/json", r#"{"a":"TOKEN-12345","a":"x"}"#),
            (
                "application/json",
                r#"{"query":"mutation{x(t:\"TOKEN-12345\")}"}"#,
            ),
            ("application/json", r#"["TOKEN-12345"#),
            ("text/plain", r#" {"a":"TOKEN-12345"}"#),
            ("application/x-www-form-urlencoded", "a=1&b=TOKEN-12345"),
            ("application/x-www-form-urlencoded", "a=1;b=%54OKEN-12345"),
            ("application/x-www-form-urlencoded", "b=%2554OKEN-12345"),
            ("application/x-www-form-urlencoded", "b=%u0054OKEN-12345"),
            (
                "application/x-www-form-urlencoded",
                r#"b={"c":"TOKEN-12345"}"#,
            ),
            ("text/plain", "b=TOKEN-12345\r\n"),
            ("", "TOKEN-12345"),
        ] {
            let found = texts(kind, body);
            assert!(
                found.iter().any(|text| text == "TOKEN-12345"),
                "{body}: {found:?}"
            );
        }
    }

    #[test]
    fn letters_that_are_other_bytes_are_told() {
        for (kind, is_strange) in [
            ("application/json", false),
            ("application/json; charset=utf-8", false),
            ("application/json; charset=\"UTF-16LE\"", false),
            ("text/plain;charset=windows-1252", false),
            ("application/json; charset=utf-7", true),
            (
                "application/x-www-form-urlencoded; Charset = \"ibm037\"",
                true,
            ),
            (
                "application/x-www-form-urlencoded; charset=iso-2022-jp",
                true,
            ),
        ] {
            let head = http::Request::post("/").header("content-type", kind);
            let (head, ()) = head.body(()).unwrap().into_parts();
            let request = Request::new(&head, None);
            assert_eq!(has_foreign_charset(&request), is_strange, "{kind}");
        }
    }

    #[test]
    fn utf_16_is_read_by_its_letters() {
        let head =
            http::Request::post("/").header("content-type", "application/json; charset=utf-16");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let body: Vec<u8> =
            r#"{"a":"TOKEN-12345"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let request = Request::new(&head, Some(&body));
        let found = find_in_texts(&request, &mut |text| (text == "TOKEN-12345").then_some(()));
        assert!(found.is_some());
    }
}
