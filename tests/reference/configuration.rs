//! Every key of the configuration, as `conf/doorward.toml` explains it: `tests/conf.rs` holds that complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

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
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.-\"".contains(letter)
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
    let mut listed: Vec<(&str, String)> = Vec::new();
    let mut table = "";
    let lines = text.lines().skip_while(|line| !line.is_empty()); // what the file says of itself
    let mut lines = lines.peekable();
    out.push_str("\n## Top level\n");
    while let Some(line) = lines.next() {
        if line.starts_with("# ---") {
            continue;
        }
        if let Some(name) = table_of(line) {
            table = name;
            write!(out, "\n## `{table}`\n").unwrap();
            tell(&mut out, &mut prose);
        } else if is_key(line) {
            let mut group = vec![key_with_value(line, &mut lines)];
            while let Some(next) = lines.next_if(|next| is_key(next)) {
                group.push(key_with_value(next, &mut lines));
            }
            listed.extend(group.iter().map(|key| (table, key_in(key).to_owned())));
            let group: Vec<_> = group.iter().map(|key| format!("`{key}`")).collect();
            write!(out, "\n**{}**\n", group.join(", ")).unwrap();
            tell(&mut out, &mut prose);
        } else if let Some(comment) = line.strip_prefix('#').filter(|text| is_prose(text)) {
            prose.push(comment);
        } else if line.is_empty() {
            tell(&mut out, &mut prose);
        } else {
            panic!("neither text, nor a key, nor a table: {line}");
        }
    }
    check_known(&listed);
    compare("configuration.md", &out);
}

/// Whether this is text, where it stands behind `#`: a key or a table stands there without a space.
fn is_prose(comment: &str) -> bool {
    comment.is_empty() || comment.starts_with(' ')
}

/// The key of a line that has one.
fn key_in(line: &str) -> &str {
    line.split(" = ").next().unwrap()
}

/// A key with its value, which may be an array of several lines.
fn key_with_value<'c>(line: &'c str, rest: &mut impl Iterator<Item = &'c str>) -> String {
    let mut text = uncommented(line).to_owned();
    if text.ends_with(" = [") {
        for line in rest.by_ref().map(uncommented) {
            if !text.ends_with('[') && line != "]" {
                text.push(' ');
            }
            text.push_str(line);
            if line == "]" {
                break;
            }
        }
    }
    text
}

/// Holds that the reader knows every key in the table that it is listed in. Tables of names that the operator chooses have no
/// known keys.
fn check_known(listed: &[(&str, String)]) {
    let mut tables = Vec::new();
    for (table, _) in listed {
        if !tables.contains(table) {
            tables.push(*table);
        }
    }
    let known = known_keys(&tables);
    assert!(known.len() > 20, "{known:?}");
    assert!(listed.len() > 100, "only {} keys were found", listed.len());
    for (table, key) in listed {
        let own = key.split('.').next().unwrap();
        let is_known = known.get(table).is_none_or(|keys| keys.contains(own));
        assert!(is_known, "there is no `{key}` in {table}");
    }
}

/// The keys that the reader knows in each of these tables, told by the faults of a file with an unknown one in each. The first
/// table is the file itself.
fn known_keys<'t>(tables: &[&'t str]) -> BTreeMap<&'t str, BTreeSet<String>> {
    let text: Vec<_> = tables
        .iter()
        .map(|table| format!("{table}\nx = 1\n"))
        .collect();
    let folder = Path::new(ROOT).join("conf");
    let faults = doorward::config::parse("x", &text.concat(), &folder)
        .err()
        .unwrap();
    let mut known = BTreeMap::new();
    for fault in faults.to_string().split("error: unknown key `x`").skip(1) {
        let line = fault.split(':').nth(1).unwrap(); // ` --> x:2:1`
        let table = tables[line.parse::<usize>().unwrap() / 2 - 1];
        let keys = fault
            .split("known: ")
            .nth(1)
            .and_then(|keys| keys.lines().next());
        let keys = keys.unwrap_or_else(|| panic!("{fault}")).split(", ");
        known.insert(table, keys.map(str::to_owned).collect());
    }
    known
}

/// Tells what the comment says, and forgets it: lines that are indented are items, and those that are indented further go on with
/// one.
fn tell(out: &mut String, prose: &mut Vec<&str>) {
    let mut is_text = false;
    for line in prose.drain(..) {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        match (indent, is_text) {
            (4.., _) => writeln!(out, "  {text}"),
            (3, _) => writeln!(out, "\n- {text}"),
            (_, false) => writeln!(out, "\n{text}"),
            (_, true) => writeln!(out, "{text}"),
        }
        .unwrap();
        is_text = indent < 3;
    }
}
