//! The compact form of a signed token (RFC 7515 section 7.1): its parts, and what looks like one.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use smallvec::SmallVec;

use super::flaw::Flaw;
use crate::request::payload::json;

/// Decodes like lax decoders: trailing bits are allowed.
const LAX: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Whether a parser could read a JWT from it: at least three parts, of which the first begins an object.
///
/// The laxest parser counts, which skips what is not base64.
pub(in crate::request) fn has_jwt_shape(text: &str) -> bool {
    if text.bytes().filter(|byte| *byte == b'.').count() < 2 {
        return false;
    }
    let header = text.split('.').next().unwrap_or_default();
    let letters = header
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte))
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        });
    let mut letters: Vec<u8> = letters.collect();
    if letters.len() % 4 == 1 {
        letters.pop(); // six bits are less than a byte
    }
    let decoded = LAX.decode(letters).unwrap_or_default();
    decoded.trim_ascii_start().first() == Some(&b'{')
}

/// The JWTs that stand in a text, whatever stands around them.
///
/// In each run of base64 letters and dots (RFC 7515 section 7.1), every three parts of which the first begins an object.
/// Letters of other base64 alphabets may stand in a signature, and before a header: `Bearer%20` in a cookie is read as
/// `Bearer+`.
pub(in crate::request) fn jwts_in(text: &str) -> SmallVec<[&str; 1]> {
    let mut found = SmallVec::new();
    if memchr::memchr(b'.', text.as_bytes()).is_none() {
        return found;
    }
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_+/.".contains(letter);
    for run in text.split(|letter| !is_letter(letter)) {
        let mut rest = run;
        loop {
            let ends: SmallVec<[usize; 3]> =
                rest.match_indices('.').map(|(at, _)| at).take(3).collect();
            let [first, _, ..] = ends.as_slice() else {
                break;
            };
            if let Some(start) = start_of_object(&rest[..*first]) {
                let end = ends.get(2).copied().unwrap_or(rest.len());
                found.push(&rest[start..end]);
                match rest.get(end + 1..) {
                    Some(after) => rest = after,
                    None => break,
                }
            } else {
                rest = &rest[first + 1..];
            }
        }
    }
    found
}

/// Where the base64 of an object begins: at the start, or behind a letter of another alphabet.
fn start_of_object(part: &str) -> Option<usize> {
    let behind = part.match_indices(['+', '/']).map(|(at, _)| at + 1);
    let mut starts = std::iter::once(0).chain(behind);
    starts.find(|start| begins_object(&part.as_bytes()[*start..]))
}

/// Whether base64 that begins so is a text that begins with a brace.
fn begins_object(text: &[u8]) -> bool {
    matches!(
        text,
        [
            b'e',
            b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'+' | b'/',
            ..,
        ]
    )
}

/// The parts of an unverified token.
pub(in crate::request) struct Compact<'t> {
    /// What is signed: header and payload.
    pub(in crate::request) signed: &'t str,
    /// Its header.
    pub(in crate::request) header: Value,
    /// Its payload, encoded.
    pub(in crate::request) payload: &'t str,
    /// Its signature, encoded.
    pub(in crate::request) signature: &'t str,
}

impl<'t> Compact<'t> {
    pub(in crate::request) fn parse(text: &'t str) -> Result<Self, Flaw> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        Ok(Self {
            signed,
            header: decode_object(header)?,
            payload,
            signature,
        })
    }
}

/// The part of a text that its fingerprint covers: of a JWT `header.payload`, because a signature can be encoded in several
/// ways; otherwise the whole text.
pub(in crate::request) fn signed_part(text: &str) -> &str {
    match text.rsplit_once('.') {
        Some((signed, _signature)) if has_jwt_shape(text) => signed,
        Some(_) | None => text,
    }
}

/// Standards 28, 29, 49: an object in base64url without padding.
pub(in crate::request) fn decode_object(part: &str) -> Result<Value, Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)?;
    json::parse_part(&bytes)
        .filter(Value::is_object)
        .ok_or(Flaw::Malformed)
}

/// The `kid`, by standards 34 a string, `null` or missing.
pub(in crate::request) fn key_id(header: &Value) -> Result<Option<&str>, Flaw> {
    match header.get("kid") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.contains(json::NO_CHARACTER) => Ok(Some(id)),
        Some(_) => Err(Flaw::Malformed),
    }
}

/// Standards 62: refuses logout tokens, security events, status lists and the like, which the same issuer signs and which are
/// not access tokens. Other types pass, because shops write anything there.
pub(in crate::request) fn refuse_other_types(header: &Value) -> Result<(), Flaw> {
    let Some(declared) = header.get("typ").filter(|declared| !declared.is_null()) else {
        return Ok(());
    };
    let declared = declared
        .as_str()
        .ok_or(Flaw::Malformed)?
        .to_ascii_lowercase();
    let subtype = declared.strip_prefix("application/").unwrap_or(&declared);
    if subtype.ends_with("+jwt") && subtype != "at+jwt" {
        return Err(Flaw::Type);
    }
    Ok(())
}
