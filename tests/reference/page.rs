//! A page of the reference: how it is written, and compared with the one that is there.

#![allow(unreachable_pub, reason = "a test exports nothing")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::ROOT;

/// Compares a page with what it should be, which is left below `target/`.
#[track_caller]
pub fn compare(name: &str, expected: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), expected).unwrap();
    let page = fs::read_to_string(format!("{ROOT}/docs/reference/{name}")).unwrap_or_default();
    let at = folder.display();
    let hint = format!("docs/reference/{name} is old: cp {at}/{name} docs/reference/");
    assert!(page == expected, "{hint}");
}

/// A page with its title, and the note that it is generated.
pub fn page(title: &str, source: &str, intro: &str) -> String {
    format!(
        "# {title}\n\n<!-- Written by tests/reference from {source}. Do not edit. -->\n\n{intro}\n"
    )
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// A row of a table.
pub fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|text| cell(text)).collect();
    writeln!(out, "| {} |", cells.join(" | ")).unwrap();
}

/// The head of a table.
pub fn head(out: &mut String, names: &[&str]) {
    writeln!(
        out,
        "\n| {} |\n|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    )
    .unwrap();
}
