//! Which lines of a configuration a report must not show: those that hold a secret.

use std::ops::Range;

/// Whether one of these lines holds part of an inline secret.
pub(super) fn hides(text: &str, lines: &Range<usize>) -> bool {
    let (mut start, mut secret) = (0, false);
    for line in text.split_inclusive('\n') {
        secret = holds_secret(line) || (secret && !opens_entry(line));
        let end = start + line.len();
        if secret && start <= lines.end && lines.start < end {
            return true;
        }
        start = end;
    }
    false
}

/// Whether a line gives a value to a key that names a secret, or has a URL with a password in it.
/// It is read as text, for a file with a syntax fault must not leak either.
fn holds_secret(line: &str) -> bool {
    if line
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'))
    {
        return true;
    }
    let mut pieces: Vec<&str> = line.split('=').collect();
    pieces.pop();
    pieces.push(first_word(line));
    let key = |piece: &str| piece.rsplit(['{', ',']).next().is_some_and(names_secret);
    pieces.into_iter().any(key)
}

fn first_word(line: &str) -> &str {
    let line = line.trim_start();
    let end = line.find(|c| !is_key_char(c) || c == ' ');
    &line[..end.unwrap_or(line.len())]
}

/// `secret`, `token.secret`, `client-secret`, also with a slip of the pen; but not `secret_file`. A `bus` has its
/// password in its URL.
fn names_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let is_secret = |word: &str| {
        word.contains("secret") || strsim::osa_distance(word, "secret") < 2 || word == "bus"
    };
    key.split('.')
        .map(|name| name.trim_matches([' ', '\t', '"', '\'']))
        .filter(|name| !name.ends_with("_file"))
        .any(|name| name.split(['_', '-', ' ']).any(is_secret))
}

/// Whether a line surely begins something new, so that a secret above it has ended.
fn opens_entry(line: &str) -> bool {
    let header = line.trim_start().trim_start_matches('[');
    if header.len() < line.trim_start().len() {
        return header.starts_with(|c: char| c.is_ascii_alphabetic());
    }
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let closes_text = line.contains("\"\"\"") || line.contains("'''");
    let has_value = !value.trim().is_empty() && !value.starts_with('=');
    !key.trim().is_empty() && key.chars().all(is_key_char) && has_value && !closes_text
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ' | '\t')
}
