//! The law of the tree: a module uses only modules that stand above it in `lib.rs`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The modules of `lib.rs`, in their order.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(format!("{SRC}/lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    declared
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect()
}

/// The source files below a path, or the one it is.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    let mut found: Vec<_> = entries
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect();
    found.retain(|file| file.extension().is_some_and(|ending| ending == "rs"));
    found.sort();
    found
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(format!("{SRC}/{module}"));
    if folder.is_dir() {
        return files(&folder);
    }
    files(&folder.with_extension("rs"))
}

/// A file without its comments.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The files of the crate whose code holds one of these words, as paths below `src`.
fn files_with(words: &[&str]) -> Vec<String> {
    let all = files(Path::new(SRC)).into_iter();
    let found = all.filter(|file| {
        let code = code_of(file);
        words.iter().any(|word| code.contains(word))
    });
    let below = |file: PathBuf| file.strip_prefix(SRC).unwrap().display().to_string();
    found.map(below).collect()
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let modules = modules();
    assert_eq!(modules.first().map(String::as_str), Some("clock"));
    let mut checked = 0;
    for (place, module) in modules.iter().enumerate() {
        for file in files_of(module) {
            let code = code_of(&file);
            for other in &modules[place + 1..] {
                let named = format!("crate::{other}");
                let at = file.display();
                assert!(
                    !code.contains(&named),
                    "{at} uses {other}, which stands below {module}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} files were looked at");
}

#[test]
fn only_the_server_knows_pingora() {
    let strangers: Vec<_> = files_with(&["pingora"])
        .into_iter()
        .filter(|file| !file.starts_with("server/") && file != "main.rs")
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn only_the_journal_knows_the_store() {
    assert_eq!(files_with(&["redb"]), ["revocation/journal.rs"]);
}

/// Whether a text has this word, not merely as a part of another.
fn has_word(text: &str, word: &str) -> bool {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut words = text.split(|letter| !is_of_word(letter));
    words.any(|found| found == word)
}

#[test]
fn only_the_transport_of_the_cluster_knows_how_frames_travel() {
    let mut found = 0;
    for file in files(Path::new(SRC)) {
        let code = code_of(&file);
        if has_word(&code, "h2") || has_word(&code, "tokio_rustls") {
            let place = file.strip_prefix(SRC).unwrap();
            let is_transport = place.starts_with("revocation/gossip/transport");
            let is_the_way_to_redis = place.ends_with("bus/door.rs");
            assert!(is_transport || is_the_way_to_redis, "{}", place.display());
            found += 1;
        }
    }
    assert!(found > 1, "{found} files of the transport");
}

#[test]
fn only_the_bus_knows_redis() {
    let strangers: Vec<_> = files_with(&["redis::"])
        .into_iter()
        .filter(|file| !file.starts_with("revocation/gossip/bus/"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn judging_awaits_nothing_and_asks_no_clock() {
    for file in files_of("request") {
        let code = code_of(&file);
        for word in [
            "async ",
            ".await",
            "clock::now",
            "std::fs",
            "TcpStream",
            "tokio",
        ] {
            assert!(!code.contains(word), "{} has {word}", file.display());
        }
    }
}

#[test]
fn every_file_says_its_purpose_first() {
    for file in files(Path::new(SRC)) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{}", file.display());
    }
}

/// The numbers that follow a word, as in `standards 27` or `_standards_28_29_trap_7`.
fn cited(text: &str, word: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for rest in text.split(word).skip(1) {
        let numbers_end =
            rest.find(|letter: char| !(letter.is_ascii_digit() || "_ ,".contains(letter)));
        let run = &rest[..numbers_end.unwrap_or(rest.len())];
        let parts = run.split(|letter: char| !letter.is_ascii_digit());
        numbers.extend(parts.filter_map(|part| part.parse::<u32>().ok()));
    }
    numbers
}

#[test]
fn every_rule_that_is_cited_by_number_is_explained() {
    let root = env!("CARGO_MANIFEST_DIR");
    let rules = fs::read_to_string(format!("{root}/docs/rules.md")).unwrap();
    let mut checked = 0;
    for folder in ["src", "tests"] {
        for file in files(&PathBuf::from(format!("{root}/{folder}"))) {
            let text = fs::read_to_string(&file).unwrap();
            for (word, name) in [
                ("standards_", "standards"),
                ("standards ", "standards"),
                ("trap_", "trap"),
                ("trap ", "trap"),
            ] {
                for number in cited(&text, word) {
                    let row = format!("| {name} {number} |");
                    assert!(rules.contains(&row), "{}: {name} {number}", file.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} citations were found");
}
