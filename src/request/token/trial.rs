//! Trials with the keys of a shop for its operator: tokens for test cases, and the usual mistakes with a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::Value;

use super::compact::Compact;
use super::issuer::Issuer;
use super::keys;

/// In which form a secret would have verified a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretMistake {
    /// The file holds base64, and the shop uses the bytes that it stands for.
    NotDecoded,
    /// The file holds hexadecimal digits, and the shop uses the bytes that they stand for.
    NotDecodedHex,
    /// White space around the secret belongs to neither.
    Trimmed,
    /// The shop uses the secret with the newline behind it.
    NewlineMissing,
    /// The shop uses the base64 text, and the file holds its bytes.
    Decoded,
}

impl SecretMistake {
    /// What to do about it.
    pub const fn help(self) -> &'static str {
        match self {
            Self::NotDecoded => {
                "the secret would verify this token if it were decoded from base64: the shop uses the bytes; \
                 write them to the file (`base64 -d`)"
            }
            Self::NotDecodedHex => {
                "the secret would verify this token if it were decoded from hexadecimal digits: the shop uses the bytes; \
                 write them to the file (`xxd -r -p`)"
            }
            Self::Trimmed => "the secret would verify this token without the white space around it",
            Self::NewlineMissing => {
                "the secret would verify this token with a newline behind it: the shop reads its file whole"
            }
            Self::Decoded => {
                "the secret would verify this token if it were encoded in base64: the shop uses the text as it stands"
            }
        }
    }
}

impl Issuer {
    /// A token with these claims, signed with its first secret; `None`: it has none.
    pub fn mint(&self, claims: &Value) -> Option<String> {
        let (algorithm, secrets) = self.secrets()?;
        let secret = secrets.first()?;
        let mut header = Header::new(algorithm);
        header.kid = self.settings().key_ids.first().cloned();
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).ok()
    }

    /// How its secret differs from the one that signed a token, if that is one of the usual mistakes.
    pub fn secret_mistake(&self, text: &str) -> Option<SecretMistake> {
        let token = Compact::parse(text).ok()?;
        let name = token.header.get("alg").and_then(Value::as_str)?;
        let algorithm = keys::algorithm(name)?;
        let signs = |other: &[u8]| {
            let key = DecodingKey::from_secret(other);
            let signed = token.signed.as_bytes();
            jsonwebtoken::crypto::verify(token.signature, signed, &key, algorithm).unwrap_or(false)
        };
        let (_, secrets) = self.secrets()?;
        let mistakes = secrets.iter().flat_map(|secret| {
            let others = other_forms(secret).into_iter();
            others.filter(move |(_, other)| other != secret)
        });
        let mut found = mistakes.filter(|(_, other)| signs(other));
        found.next().map(|(mistake, _)| mistake)
    }

    /// The first algorithm for which it has secrets, and these.
    fn secrets(&self) -> Option<(Algorithm, Vec<Vec<u8>>)> {
        let held = self.ring().held();
        let mut algorithms = self.settings().algorithms.iter().copied();
        algorithms.find_map(|algorithm| {
            let keys = held.keys.candidates(algorithm, None);
            let secrets = keys.filter_map(|key| key.secret().map(<[u8]>::to_vec));
            let secrets: Vec<_> = secrets.collect();
            (!secrets.is_empty()).then_some((algorithm, secrets))
        })
    }
}

/// The secrets that may be meant by one.
fn other_forms(secret: &[u8]) -> Vec<(SecretMistake, Vec<u8>)> {
    let trimmed = secret.trim_ascii();
    let mut forms = Vec::new();
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        if let Ok(bytes) = engine.decode(trimmed) {
            forms.push((SecretMistake::NotDecoded, bytes));
        }
        forms.push((SecretMistake::Decoded, engine.encode(secret).into_bytes()));
    }
    forms.extend(from_hex(trimmed).map(|bytes| (SecretMistake::NotDecodedHex, bytes)));
    forms.push((SecretMistake::Trimmed, trimmed.to_vec()));
    forms.push((SecretMistake::NewlineMissing, [secret, b"\n"].concat()));
    forms
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = (0..text.len()).step_by(2);
    let bytes = pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    is_hex.then(|| bytes.collect::<Option<Vec<_>>>()).flatten()
}
