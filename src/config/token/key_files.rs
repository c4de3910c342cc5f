//! Where a shop's keys are: in a file, or at a URL. No report shows the content of a file.

use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::config::fault::Fault;
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::config::token::key_url;
use crate::request::{KeySource, Keys, TokenKind, TokenSettings, UnfitKey, secret_bytes_min};

/// The keys of the table that name a place, and what is expected there.
const PLACES: &[(&str, KeyPlace)] = &[
    ("secret_file", KeyPlace::File(KeyFormat::Secret)),
    ("secret_files", KeyPlace::Secrets),
    ("public_key_file", KeyPlace::File(KeyFormat::PublicKey)),
    ("jwks_file", KeyPlace::File(KeyFormat::Jwks)),
    ("jwks_url", KeyPlace::Url),
];

/// How many secrets a rotation may need at a time. Each is tried for every token that the ones before it did not sign.
const SECRETS_MAX: usize = 8;

#[derive(Clone, Copy)]
enum KeyPlace {
    File(KeyFormat),
    Secrets,
    Url,
}

#[derive(Clone, Copy)]
enum KeyFormat {
    Secret,
    PublicKey,
    Jwks,
}

/// What is written under one of [`PLACES`].
struct WrittenKeys<'a> {
    key: &'static str,
    place: KeyPlace,
    /// One text, or every secret.
    texts: Vec<TomlText<'a>>,
}

impl<'a> WrittenKeys<'a> {
    fn read(token: &mut TomlTable<'a>, key: &'static str, place: KeyPlace) -> Option<Self> {
        let texts = match place {
            KeyPlace::Secrets => token.strings(key)?,
            KeyPlace::File(_) | KeyPlace::Url => vec![token.string(key)?],
        };
        Some(Self { key, place, texts })
    }
}

/// Whether the shop has a key.
pub(crate) fn is_written(token: &TomlTable<'_>) -> bool {
    PLACES.iter().any(|(key, _)| token.spot_of(key).is_some())
}

/// Reads the one place that a shop's keys are in. A shop whose tokens are all opaque needs none.
pub(crate) fn read(token: &mut TomlTable<'_>, settings: &TokenSettings) -> Option<KeySource> {
    let may_be_short = token.boolean("allow_short_secret").unwrap_or_default();
    let terms = key_url::read_terms(token);
    let written = PLACES.iter();
    let written = written.filter_map(|(key, place)| WrittenKeys::read(token, key, *place));
    let written: Vec<_> = written.collect();
    let written = match written.as_slice() {
        [only] => only,
        [first, second, ..] => {
            let message = format!("`{}` and `{}` can't both be given", first.key, second.key);
            token.report_at(second.key, Fault::error(message));
            return None;
        }
        [] if is_written(token) => return None, // it had its fault
        [] if settings.kind == TokenKind::Opaque && token.lacks("algorithms") => {
            return Some(KeySource::Given(Keys::default()));
        }
        [] => {
            let expected =
                "the path of a key; or secret_files, public_key_file, jwks_file or jwks_url";
            token.missing("secret_file", expected);
            return None;
        }
    };
    let algorithms = settings.algorithms.as_slice();
    let keys = match (written.place, written.texts.as_slice()) {
        (KeyPlace::Url, [text]) => {
            let source = key_url::read(text, &terms, algorithms);
            return source.map(KeySource::Fetched);
        }
        (KeyPlace::File(format), [text]) => read_file(text, format, algorithms, may_be_short),
        (KeyPlace::Secrets, texts) => read_secrets(token, texts, algorithms, may_be_short),
        (KeyPlace::Url | KeyPlace::File(_), _) => None, // each of these has one text
    };
    keys.map(KeySource::Given)
}

fn read_file(
    text: &TomlText<'_>,
    format: KeyFormat,
    algorithms: &[Algorithm],
    may_be_short: bool,
) -> Option<Keys> {
    let file = File::read(text)?;
    if algorithms.is_empty() {
        return None; // they had their fault
    }
    let named = |keys: Keys| keys.named(text.as_str());
    match format {
        KeyFormat::Secret => file.secret(algorithms, may_be_short).map(named),
        KeyFormat::PublicKey => file.public_key(algorithms).map(named),
        KeyFormat::Jwks => file.jwks(algorithms),
    }
}

/// Several secrets, of which any verifies a token: the shop changes from one to the next.
fn read_secrets(
    token: &TomlTable<'_>,
    texts: &[TomlText<'_>],
    algorithms: &[Algorithm],
    may_be_short: bool,
) -> Option<Keys> {
    if texts.is_empty() || texts.len() > SECRETS_MAX {
        let message = format!("`secret_files` names {} files", texts.len());
        let fault = Fault::error(message).label(format!("expected 1 to {SECRETS_MAX}"));
        token.report_at("secret_files", fault);
        return None;
    }
    let mut read: Vec<Keys> = Vec::new();
    for text in texts {
        let keys = read_file(text, KeyFormat::Secret, algorithms, may_be_short);
        let Some(keys) = keys else { continue };
        if read.iter().any(|earlier| earlier.repeats(&keys)) {
            let fault = Fault::error("this secret stands in a file before it, too");
            text.report(fault.help("name each secret once: the old one and the new one"));
        }
        read.push(keys);
    }
    (read.len() == texts.len()).then(|| Keys::joined(read))
}

impl File<'_, '_> {
    fn report_unfit(&self, unfit: &UnfitKey) {
        self.report(self.error(unfit));
    }

    fn secret(&self, algorithms: &[Algorithm], may_be_short: bool) -> Option<Keys> {
        self.refuse_open();
        let secret = without_line_end(self.bytes());
        let keys = Keys::from_secret(secret, algorithms);
        let keys = keys.map_err(|unfit| self.report_unfit(&unfit)).ok()?;
        let needed = algorithms.iter().filter_map(|one| secret_bytes_min(*one));
        let needed = needed.max().unwrap_or_default();
        if secret.len() < needed {
            self.report(self.short_secret(secret.len(), needed, may_be_short));
        }
        Some(keys)
    }

    fn short_secret(&self, bytes: usize, needed: usize, is_allowed: bool) -> Fault {
        let message = format!("the secret has {bytes} bytes, {needed} are needed");
        let reason = "a short secret can be guessed from any token (RFC 7518 section 3.2)";
        if is_allowed {
            self.warning(message).help(reason)
        } else {
            let remedy = "if the shop can't have a longer one: allow_short_secret = true";
            self.error(message).help(reason).help(remedy)
        }
    }

    fn public_key(&self, algorithms: &[Algorithm]) -> Option<Keys> {
        if find(self.bytes(), b"PRIVATE KEY") {
            let help = "openssl pkey -in PRIVATE -pubout -out PUBLIC";
            let fault = self.error("this is a private key: only the shop should have it");
            self.report(fault.help(help));
            return None;
        }
        let keys = Keys::from_pem(self.bytes(), algorithms);
        keys.map_err(|unfit| self.report_unfit(&unfit)).ok()
    }

    fn jwks(&self, algorithms: &[Algorithm]) -> Option<Keys> {
        if holds_secret(self.bytes()) {
            self.refuse_open();
        }
        match Keys::from_jwks(self.bytes(), algorithms) {
            Ok((keys, passed_over)) => {
                for one in &passed_over {
                    self.report(self.warning(format_args!("{one}; the key is not used")));
                }
                Some(keys)
            }
            Err(unfit) => {
                for one in &unfit {
                    self.report_unfit(one);
                }
                None
            }
        }
    }
}

/// Editors add a line end that is no part of the secret.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bare = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bare.strip_suffix(b"\r").unwrap_or(bare)
}

fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

/// Whether a JWK set has a shared secret, or the private part of a key, in it.
fn holds_secret(text: &[u8]) -> bool {
    let set: Option<Value> = serde_json::from_slice(text).ok();
    let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    let is_secret = |key: &Value| key.get("k").is_some() || key.get("d").is_some();
    keys.is_some_and(|keys| keys.iter().any(is_secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_secret() {
        assert_eq!(without_line_end(b"secret"), b"secret");
        assert_eq!(without_line_end(b"secret\n"), b"secret");
        assert_eq!(without_line_end(b"secret\r\n"), b"secret");
        assert_eq!(without_line_end(b"secret\n\n"), b"secret\n");
        assert_eq!(without_line_end(b" \n"), b" ");
    }
}
