//! How the tokens of a place are written: how they are wrapped, what they look like, how they are compared.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD};
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::body_texts::strings_in;
use crate::request::answers::Refusal;

/// How the values of a place are written.
#[derive(Debug, Default)]
pub struct Spelling {
    /// What a whole token looks like; other values are not credentials. A group `token` is the token key.
    pub pattern: Option<Regex>,
    /// The wrappings around a token, the outermost first. A value that lacks one is used as it is.
    pub decode: Vec<Decoding>,
    /// What the shop ignores when it compares tokens.
    pub fold: Fold,
}

/// A wrapping around a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// Percent codes (RFC 3986 section 2.1), in addition to those of the carrier.
    Percent,
    /// JSON, with or without `j:` before it (Express); every string in it may be the token.
    Json,
    /// Base64 of either alphabet, padded or not, with or without `base64-` before it (Supabase).
    Base64,
    /// A signature behind the value: `s:VALUE.SIGNATURE` (cookie-signature) or `VALUE--SIGNATURE` (Rails).
    Signed,
}

/// What a shop ignores when it compares tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Case, as the usual collations of `MySQL` do. They ignore control characters, too.
    pub case: bool,
    /// White space around it.
    pub trim: bool,
}

/// How many texts are unwrapped from one value.
const WRAPPED_MAX: usize = 32;

/// The texts in a wrapped value; nearly always one.
pub(in crate::request) type Texts<'t> = SmallVec<[Cow<'t, str>; 1]>;

impl Spelling {
    /// Whether values are tokens without further decoding.
    pub(in crate::request) fn is_plain(&self) -> bool {
        self.pattern.is_none() && self.decode.is_empty() && self.fold == Fold::default()
    }

    /// The texts inside the wrappings of a value.
    pub(in crate::request) fn unwrap<'t>(&self, value: Cow<'t, str>) -> Texts<'t> {
        let mut texts: Texts<'t> = smallvec![value];
        for decoding in &self.decode {
            let inner = texts.into_iter().flat_map(|text| decoding.unwrap(text));
            texts = inner.take(WRAPPED_MAX).collect();
        }
        texts
    }

    /// The token key of a token with this text: the text, a part of it, or its folded form.
    ///
    /// `Ok(None)`: the text is not a token of this place.
    pub(in crate::request) fn key<'t>(
        &self,
        text: &'t str,
    ) -> Result<Option<Cow<'t, str>>, Refusal> {
        let folded = match self.fold.apply(text) {
            Ok(folded) => folded,
            Err(refusal) if self.could_fit(text) => return Err(refusal),
            Err(_) => return Ok(None),
        };
        let Some(pattern) = &self.pattern else {
            return Ok((!folded.is_empty()).then_some(folded));
        };
        // A pattern may be written for the original letters or for folded ones.
        if let Some(part) = token_in(pattern, text) {
            return self.fold.apply(part).map(Some);
        }
        Ok(match folded {
            Cow::Borrowed(text) => token_in(pattern, text).map(Cow::Borrowed),
            Cow::Owned(ref text) => token_in(pattern, text).map(|part| Cow::Owned(part.to_owned())),
        })
    }
}

impl Spelling {
    /// Whether a collation could take a text with letters beyond ASCII for a token: it ignores such a letter, or compares it as
    /// up to three others.
    fn could_fit(&self, text: &str) -> bool {
        const FOR_ONE: [&str; 7] = ["", "a", "aa", "aaa", "0", "00", "000"];
        let is_foreign = |letter: char| is_of_another_script(letter) || letter.is_whitespace();
        if trimmed(text).contains(is_foreign) {
            return false;
        }
        let Some(pattern) = &self.pattern else {
            return true;
        };
        FOR_ONE.iter().any(|letters| {
            let mut plain = String::with_capacity(text.len());
            for letter in text.chars() {
                if letter.is_ascii() {
                    plain.push(letter.to_ascii_lowercase());
                } else {
                    plain.push_str(letters);
                }
            }
            pattern.is_match(trimmed(&plain))
        })
    }
}

/// Letters that no collation compares as a Latin letter or a digit: Greek, Cyrillic, Hebrew, Arabic, kana, Han, Hangul; and
/// the replacement of invalid bytes.
fn is_of_another_script(letter: char) -> bool {
    matches!(
        letter,
        '\u{370}'..='\u{52f}'
            | '\u{5d0}'..='\u{5ea}'
            | '\u{621}'..='\u{64a}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}'
            | char::REPLACEMENT_CHARACTER
    )
}

/// The name of the group that is the token key.
const TOKEN_GROUP: &str = "token";

/// The token key in a text that fits a pattern: the group `token`, else the whole text.
pub(in crate::request) fn token_in<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    if pattern.captures_len() == 1 {
        return pattern.is_match(text).then_some(text);
    }
    let found = pattern.captures(text)?;
    Some(found.name(TOKEN_GROUP).map_or(text, |part| part.as_str()))
}

/// Whether a text is what a script writes for a missing value, a boolean or an object (ECMA-262 section 7.1.17). All clients
/// without a token send the same text.
pub(in crate::request) fn is_no_text(text: &str) -> bool {
    const UNDEFINED: &str = "undefined";
    const OBJECT: &str = "[object Object]";
    let is_literal = |text| serde_json::from_str::<Option<bool>>(text).is_ok();
    text.is_empty()
        || text.len() <= OBJECT.len() && (is_literal(text) || [UNDEFINED, OBJECT].contains(&text))
}

/// Without what databases and frameworks strip: white space, and what Laravel counts as such.
pub(in crate::request) fn trimmed(text: &str) -> &str {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_graphic(text.as_bytes().first()) && is_graphic(text.as_bytes().last()) {
        return text; // nearly always
    }
    text.trim_matches(|letter: char| {
        letter.is_whitespace() || matches!(letter, '\0' | '\u{feff}' | '\u{200b}' | '\u{200e}')
    })
}

impl Fold {
    /// The form in which texts are compared.
    ///
    /// Where case is ignored, letters beyond ASCII are refused: collations compare accented and wide letters as plain ones,
    /// and tokens hold none.
    pub(in crate::request) fn apply(self, text: &str) -> Result<Cow<'_, str>, Refusal> {
        let text = if self.trim || self.case {
            trimmed(text)
        } else {
            text
        };
        if !self.case {
            return Ok(Cow::Borrowed(text));
        }
        if !text.is_ascii() {
            return Err(Refusal::MalformedCredential);
        }
        let changes = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_control();
        if !text.bytes().any(changes) {
            return Ok(Cow::Borrowed(text));
        }
        let letters = text.chars().filter(|letter| !letter.is_ascii_control());
        Ok(letters.map(|letter| letter.to_ascii_lowercase()).collect())
    }
}

impl Decoding {
    fn unwrap(self, text: Cow<'_, str>) -> Texts<'_> {
        let inner = match self {
            Self::Percent => percent(&text),
            Self::Json => return json(text),
            Self::Base64 => base64(&text),
            Self::Signed => unsigned(&text),
        };
        smallvec![inner.map_or(text, Cow::Owned)]
    }
}

fn percent(text: &str) -> Option<String> {
    text.contains('%')
        .then(|| percent_decode_str(text).decode_utf8_lossy().into_owned())
}

/// The strings in a JSON text, found as lax parsers find them; the text itself, if there are none.
fn json(text: Cow<'_, str>) -> Texts<'_> {
    let written = text.strip_prefix("j:").unwrap_or(&text);
    let mut strings = Texts::new();
    let mut take = |string: &str| -> Option<()> {
        if strings.len() < WRAPPED_MAX {
            strings.push(Cow::Owned(string.to_owned()));
        }
        None
    };
    let _ = strings_in(written, 1, &mut take);
    if strings.is_empty() {
        strings.push(text);
    }
    strings
}

const LAX: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

fn base64(text: &str) -> Option<String> {
    let written = text.strip_prefix("base64-").unwrap_or(text);
    // Lax decoders ignore other characters.
    let is_letter = |letter: &char| letter.is_ascii_alphanumeric() || "+/-_".contains(*letter);
    let mut written: String = written.chars().filter(is_letter).collect();
    if written.len() % 4 == 1 {
        written.pop(); // six bits are less than a byte
    }
    let engines = [&STANDARD, &URL_SAFE].map(|alphabet| GeneralPurpose::new(alphabet, LAX));
    let bytes = engines
        .iter()
        .find_map(|engine| engine.decode(&written).ok())?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty()).then_some(text)
}

fn unsigned(text: &str) -> Option<String> {
    let value = match text.strip_prefix("s:") {
        Some(signed) => signed.rsplit_once('.').map(|(value, _)| value),
        None => text.rsplit_once("--").map(|(value, _)| value),
    };
    value.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(decode: &[Decoding], value: &str) -> Vec<String> {
        let spelling = Spelling {
            decode: decode.to_vec(),
            ..Spelling::default()
        };
        let texts = spelling.unwrap(Cow::Borrowed(value));
        texts.into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn wrappings_come_off_the_outermost_first_field_f3() {
        use Decoding::Base64;
        use Decoding::Json;
        use Decoding::Percent;
        use Decoding::Signed;
        assert_eq!(unwrapped(&[Signed], "s:abc.def.sig"), ["abc.def"]);
        assert_eq!(unwrapped(&[Signed], "abc--0f0f"), ["abc"]);
        assert_eq!(
            unwrapped(&[Json], r#"j:{"a":{"b":["x","y"]},"n":1}"#),
            ["x", "y"]
        );
        assert_eq!(unwrapped(&[Json], r#""x""#), ["x"]);
        assert_eq!(unwrapped(&[Percent, Json], "%22x%22"), ["x"]);
        for wrapped in ["base64-eyJhIjoieCJ9", "eyJhIjoieCJ9", "eyJhIjoieCJ9=="] {
            assert_eq!(unwrapped(&[Base64, Json], wrapped), ["x"], "{wrapped}");
        }
        // Strays between the letters, and bits that belong to no byte.
        for wrapped in [
            "eyJhIjoi\neCJ9",
            "eyJh*IjoieCJ9",
            "eyJhIjoieCJ9e",
            "Ingi",
            "Ing_Ig",
            "Ing/Ih",
        ] {
            let found = unwrapped(&[Base64, Json], wrapped);
            assert!(found[0].starts_with('x'), "{wrapped}: {found:?}");
        }
        assert_eq!(
            unwrapped(&[Percent, Json, Base64, Signed], "plain"),
            ["plain"]
        );
    }

    #[test]
    fn a_folded_token_is_one_to_every_spelling_that_a_collation_takes_for_it_attacks_a3() {
        let fold = Fold {
            case: true,
            trim: true,
        };
        for spelling in [
            "AbC1",
            " abc1",
            "abc1  ",
            "abc1\u{200b}",
            "ABC1\0",
            "a\u{1}bc1",
        ] {
            assert_eq!(fold.apply(spelling).unwrap(), "abc1", "{spelling:?}");
        }
        assert!(fold.apply("\u{e1}bc1").is_err() && fold.apply("\u{ff41}bc1").is_err());
        assert_eq!(Fold::default().apply(" AbC").unwrap(), " AbC");
    }

    #[test]
    fn words_of_other_alphabets_are_no_tokens_where_case_does_not_count() {
        let spelling = Spelling {
            pattern: Some(Regex::new("^(?:[0-9a-f]{8})$").unwrap()),
            fold: Fold {
                case: true,
                trim: true,
            },
            ..Spelling::default()
        };
        assert_eq!(spelling.key("J\u{fc}rgen").unwrap(), None);
        assert_eq!(
            spelling.key("\u{6771}\u{4eac}\u{6771}\u{4eac}").unwrap(),
            None
        );
        for wide in ["0123\u{ff41}bcd", "0123abcd\u{ad}", "012ab\u{fb00}1"] {
            assert!(spelling.key(wide).is_err(), "{wide}");
        }
        assert_eq!(spelling.key("0123ABCD ").unwrap().unwrap(), "0123abcd");
    }

    #[test]
    fn what_a_script_makes_of_nothing_is_no_token_field_f3() {
        for text in ["true", "false", "null", "undefined", "[object Object]", ""] {
            assert!(is_no_text(text), "{text}");
        }
        for token in ["abcdefghijklmnop", "alice", "17", "\"null\"", "nullable"] {
            assert!(!is_no_text(token), "{token}");
        }
    }
}
