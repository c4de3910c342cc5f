//! Every key of the configuration, as `conf/doorward.toml` explains it: `tests/conf.rs` holds that complete.

use std::fmt::Write as _;
use std::fs;

use super::ROOT;
use super::page::{compare, page};

/// What stands behind `#` where a key is left out, or the line itself.
fn uncommented(line: &str) -> &str {
    line.strip_prefix("# ")
        .or(line.strip_prefix('#'))
        .unwrap_or(line)
        .trim_end()
}

/// Whether a line of the configuration is a key with its value.
fn is_key(line: &str) -> bool {
    let plain = uncommented(line);
    let key = plain.split(" = ").next().unwrap();
    let is_word = |letter: char| {
        letter.is_ascii_lowercase() || letter == '_' || letter == '.' || letter.is_ascii_digit()
    };
    plain.contains(" = ") && !key.is_empty() && key.chars().all(is_word)
}

/// The name of a table, as it stands between its brackets.
fn table_of(line: &str) -> Option<&str> {
    let plain = line.strip_prefix('#').unwrap_or(line);
    (plain.starts_with('[') && plain.ends_with(']')).then_some(plain)
}

#[test]
fn every_key_of_the_configuration_is_in_the_reference() {
    let text = fs::read_to_string(format!("{ROOT}/conf/doorward.toml")).unwrap();
    let mut out = page(
        "Configuration",
        "conf/doorward.toml",
        "Every key, table by table, in the order of [doorward.toml](../../conf/doorward.toml). A value behind a key is its default, or an \
         example where the text says what holds if the key is left out. [Configure](../configure.md) explains how a file is read.",
    );
    let mut prose: Vec<&str> = Vec::new();
    let mut keys = 0;
    let lines = text.lines().skip_while(|line| !line.is_empty()); // what the file says of itself
    let mut lines = lines.peekable();
    out.push_str("\n## Top level\n");
    while let Some(line) = lines.next() {
        if line.starts_with("# ---") {
            continue;
        }
        if let Some(table) = table_of(line) {
            write!(out, "\n## `{table}`\n").unwrap();
            tell(&mut out, &mut prose);
        } else if is_key(line) {
            let mut group = format!("`{}`", uncommented(line));
            while let Some(next) = lines.next_if(|next| is_key(next)) {
                write!(group, ", `{}`", uncommented(next)).unwrap();
                keys += 1;
            }
            keys += 1;
            write!(out, "\n**{group}**\n").unwrap();
            tell(&mut out, &mut prose);
        } else if let Some(comment) = line.strip_prefix('#') {
            prose.push(comment);
        } else if line.is_empty() {
            tell(&mut out, &mut prose);
        } else {
            panic!("what is this: {line}");
        }
    }
    assert!(keys > 100, "only {keys} keys were found");
    compare("configuration.md", &out);
}

/// Tells what the comment says, and forgets it: lines that are indented are items.
fn tell(out: &mut String, prose: &mut Vec<&str>) {
    for (at, line) in prose.drain(..).enumerate() {
        let text = line.trim();
        let is_item = line.starts_with("   ");
        match (at, is_item) {
            (_, true) => writeln!(out, "\n- {text}"),
            (0, false) => write!(out, "\n{text}\n"),
            (_, false) => writeln!(out, "{text}"),
        }
        .unwrap();
    }
}
