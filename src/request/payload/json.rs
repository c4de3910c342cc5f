//! Strict JSON: a repeated name in an object is an error, because parsers disagree about which one counts (RFC 7519 section 4,
//! RFC 7515 section 4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The value of a text, without repeated names and without anything behind it.
///
/// Depth is bounded by `serde_json` (128).
pub(in crate::request) fn parse(text: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Strict>(text)
        .ok()
        .map(|strict| strict.0)
}

/// [`parse`] for the answer of a shop: it may begin with a byte order mark, as for browsers (the Encoding Standard, "UTF-8
/// decode").
pub(in crate::request) fn parse_answer(text: &[u8]) -> Option<Value> {
    parse(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
}

/// Replaces half of a surrogate pair that an escape names alone. No text holds this character.
pub(in crate::request) const NO_CHARACTER: char = '\u{ffff}';

/// [`parse`] for parts of a token. Parsers disagree about an escape such as `\ud800`, which names half a surrogate pair: some
/// refuse it, others replace it. In a value it becomes [`NO_CHARACTER`], which claims refuse; in a name it could hide a
/// claim, and is an error.
pub(in crate::request) fn parse_part(text: &[u8]) -> Option<Value> {
    parse(text).or_else(|| match with_whole_characters(text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => parse(&text).filter(has_whole_names),
    })
}

/// The text with every escape of half a surrogate pair replaced.
fn with_whole_characters(text: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(text);
    let mut place = 0;
    while let Some(found) = text
        .get(place..)
        .and_then(|rest| memchr::memchr(b'\\', rest))
    {
        place += found;
        let unit = |at: usize| unit_at(&text, at);
        match (unit(place), unit(place + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => place += 12,
            (Some(0xd800..=0xdfff), _) => {
                text.to_mut()[place + 2..place + 6].copy_from_slice(b"ffff");
                place += 6;
            }
            (Some(_), _) => place += 6,
            (None, _) => place += 2,
        }
    }
    text
}

/// The number of the escape `\uXXXX` at a position.
fn unit_at(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let are_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| are_hex)?;
    u16::from_str_radix(digits, 16).ok()
}

fn has_whole_names(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => items.iter().all(has_whole_names),
        Value::Object(members) => members
            .iter()
            .all(|(name, member)| !name.contains(NO_CHARACTER) && has_whole_names(member)),
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pointer(String);

impl Pointer {
    /// A pointer is empty or begins with a slash.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with('/') {
            Ok(Self(text.to_owned()))
        } else {
            Err("a JSON pointer such as /sub or /data/user/id")
        }
    }

    /// The value there; `None`: missing or `null`.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.0).filter(|found| !found.is_null())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pointer {
    /// The name, if it points to a member of the top object.
    pub(in crate::request) fn only_segment(&self) -> Option<&str> {
        let name = self.0.strip_prefix('/')?;
        memchr::memchr2(b'/', b'~', name.as_bytes())
            .is_none()
            .then_some(name)
    }

    /// The names of its segments.
    pub(in crate::request) fn segments(&self) -> Vec<String> {
        let segments = self.0.split('/').skip(1);
        let names = segments.map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        names.collect()
    }

    /// Every value there for a shop that compares names without case, except `null`.
    pub(in crate::request) fn find_all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for name in self.segments() {
            found = found
                .into_iter()
                .flat_map(|one| members(one, &name))
                .collect();
        }
        found.retain(|one| !one.is_null());
        found
    }
}

fn members<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    match value {
        Value::Object(object) => {
            let called = object
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name));
            called.map(|(_, member)| member).collect()
        }
        Value::Array(items) => {
            let item = name.parse().ok().and_then(|place: usize| items.get(place));
            item.into_iter().collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_an_error_at_any_depth_standards_50() {
        assert!(parse(br#"{"a":1,"b":{"a":1}}"#).is_some());
        assert!(parse(br#"{"a":1,"\u0061":2}"#).is_none());
        assert!(parse(br#"{"b":[{"a":1,"a":1}]}"#).is_none());
    }

    #[test]
    fn half_a_character_is_an_error_in_names_only_attacks_s5() {
        let text = |part: &str| {
            let part = parse_part(part.as_bytes())?;
            part.get("a").and_then(Value::as_str).map(str::to_owned)
        };
        for half in [r"\ud800", r"\uDFFF", r"\udc00\ud800"] {
            assert!(
                text(&format!(r#"{{"a":"b{half}c"}}"#))
                    .unwrap()
                    .contains(NO_CHARACTER)
            );
            assert_eq!(text(&format!(r#"{{"a":"b","{half}":1}}"#)), None);
            assert_eq!(text(&format!(r#"{{"a":"b","c":[{{"{half}":1}}]}}"#)), None);
            assert_eq!(text(&format!(r#"{{"a":"{half}","a":1}}"#)), None);
            assert_eq!(text(&format!(r#"{{"a":"{half}","\u0061":1}}"#)), None);
        }
        let whole = text(r#"{"a":"\ud83d\ude00\\ud800","b":"\ud800\ud83d\ude00"}"#);
        assert_eq!(whole.as_deref(), Some(r"😀\ud800"));
        for odd in [
            r#"{"a":"\ud80"}"#,
            r#"{"a":"\u+800"}"#,
            r#"{"a":"\"#,
            r#"{"a":"\ud800"#,
        ] {
            assert_eq!(text(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_text_must_be_whole_standards_29() {
        assert!(parse(br"{} ").is_some());
        assert!(parse(br"{}{}").is_none());
        assert!(parse(b"{\"a\":\"\xff\"}").is_none());
        assert!(parse("[".repeat(100_000).as_bytes()).is_none());
    }
}
