//! `conf/doorward.toml`, which explains every key, read for its explanations.

use std::fmt::Write as _;

/// The configuration that explains every key.
pub(super) const TEXT: &str = include_str!("../../../conf/doorward.toml");

/// A key, and what is said of it.
pub(super) struct ExplainedKey {
    /// Its table: `shop.token`; empty for the keys at the top.
    pub(super) table: String,
    pub(super) key: String,
    /// What stands behind the `=`.
    pub(super) value: String,
    /// Whether it is left out there. What stands behind `# ` is another way to say something, and no key that is left out.
    pub(super) is_left_out: bool,
    /// What the text says of it.
    pub(super) said: String,
    /// What the text says of its table.
    pub(super) said_of_table: String,
}

/// Every key that is explained, in order.
pub(super) fn explained() -> Vec<ExplainedKey> {
    let mut keys = Vec::new();
    let (mut table, mut said_of_table, mut said) = (String::new(), String::new(), String::new());
    let mut is_behind_key = false;
    for line in TEXT.lines().skip_while(|line| !line.is_empty()) {
        let bare = uncommented(line);
        if line.starts_with("# ---") || line.is_empty() {
            said.clear();
        } else if bare.starts_with('[') && bare.ends_with(']') {
            bare.trim_matches(['[', ']']).clone_into(&mut table);
            said_of_table = std::mem::take(&mut said);
        } else if let Some((key, value)) = key_of(bare) {
            keys.push(ExplainedKey {
                table: table.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                is_left_out: line.starts_with('#') && !line.starts_with("# "),
                said: said.clone(),
                said_of_table: said_of_table.clone(),
            });
            is_behind_key = true;
            continue;
        } else if let Some(text) = line.strip_prefix('#') {
            if is_behind_key {
                said.clear();
            }
            let _ = write!(
                said,
                "{}{}",
                if said.is_empty() { "" } else { " " },
                text.trim()
            );
        }
        is_behind_key = false;
    }
    keys
}

/// The text with every key that is left out written.
pub(super) fn switched_on() -> String {
    let lines = TEXT.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with([' ', ':']) => key,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn uncommented(line: &str) -> &str {
    let bare = line.strip_prefix('#').unwrap_or(line);
    bare.strip_prefix(' ').unwrap_or(bare).trim_end()
}

/// A key and its value.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(" = ")?;
    let is_word = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-\"".contains(letter)
    };
    (!key.is_empty() && key.chars().all(is_word)).then_some((key.trim_matches('"'), value))
}
