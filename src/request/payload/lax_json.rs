//! JSON as the laxest server reads it: of members with one name each counts, and what follows a whole value is ignored.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value with all its members, repeated ones included.
pub(in crate::request) enum LaxValue {
    /// A string, a number, true or false, as a text.
    Scalar(String),
    /// The items of an array.
    Items(Vec<Self>),
    /// The members of an object, in their order.
    Members(Vec<(String, Self)>),
    /// Null.
    Nothing,
}

impl LaxValue {
    /// The first value of a text. Depth is bounded by `serde_json` (128).
    pub(in crate::request) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Self::deserialize(&mut serde_json::Deserializer::from_slice(text)).ok()
    }

    /// Calls `take` with every text at a place, and with those of a list there.
    pub(in crate::request) fn visit_at<'v>(
        &'v self,
        place: &[&str],
        is_same: impl Fn(&str, &str) -> bool + Copy,
        take: &mut impl FnMut(&'v str),
    ) {
        match (self, place) {
            (Self::Scalar(text), []) => take(text),
            (Self::Items(items), []) => {
                for item in items {
                    if let Self::Scalar(text) = item {
                        take(text);
                    }
                }
            }
            (Self::Members(members), [name, rest @ ..]) => {
                for (_, member) in members.iter().filter(|(given, _)| is_same(given, name)) {
                    member.visit_at(rest, is_same, take);
                }
            }
            (Self::Items(items), [name, rest @ ..]) => {
                let item = name.parse().ok().and_then(|at: usize| items.get(at));
                if let Some(item) = item {
                    item.visit_at(rest, is_same, take);
                }
            }
            (Self::Members(_) | Self::Nothing, []) | (Self::Scalar(_) | Self::Nothing, [_, ..]) => {
            }
        }
    }
}

impl<'de> Deserialize<'de> for LaxValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LaxVisitor)
    }
}

struct LaxVisitor;

impl<'de> Visitor<'de> for LaxVisitor {
    type Value = LaxValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<LaxValue, E> {
        Ok(LaxValue::Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<LaxValue, E> {
        Ok(LaxValue::Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<LaxValue, E> {
        Ok(LaxValue::Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<LaxValue, E> {
        Ok(LaxValue::Scalar(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<LaxValue, E> {
        Ok(LaxValue::Scalar(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<LaxValue, E> {
        Ok(LaxValue::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LaxValue, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(LaxValue::Items(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<LaxValue, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(LaxValue::Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_name_is_found() {
        let found = |text: &str, place: &[&str]| {
            let mut found = Vec::new();
            if let Some(value) = LaxValue::parse(text.as_bytes()) {
                value.visit_at(place, |a, b| a == b, &mut |text| {
                    found.push(text.to_owned());
                });
            }
            found
        };
        assert_eq!(found(r#"{"a":"x","\u0061":"y"}"#, &["a"]), ["x", "y"]);
        assert_eq!(
            found(r#"{"a":{"b":1},"a":{"b":true}}"#, &["a", "b"]),
            ["1", "true"]
        );
        assert_eq!(found(r#"{"a":["x",2,null,{}]}"#, &["a"]), ["x", "2"]);
        assert_eq!(found(r#"{"a":[{"b":"x"}]}"#, &["a", "0", "b"]), ["x"]);
        assert_eq!(found("\u{feff}{\"a\":\"x\"} rest", &["a"]), ["x"]);
        for text in [r#"{"a":null}"#, r#"{"b":"x"}"#, r#"{"a""#, "", "[]", "x=1"] {
            assert!(found(text, &["a"]).is_empty(), "{text}");
        }
        assert!(found(&"[".repeat(100_000), &["a"]).is_empty());
    }
}
