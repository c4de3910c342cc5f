//! The laws of the tree: what may name what, and what every page must say.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use source::{Crate, SRC, circles, files_below as files};

/// The crate, read once.
static SOURCES: LazyLock<Crate> = LazyLock::new(Crate::read);

/// The modules of `lib.rs`, in their order.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(format!("{SRC}/lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    declared
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect()
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
                let mut after = code.split(&named).skip(1);
                let goes_on = |rest: &str| {
                    rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
                };
                assert!(
                    after.all(goes_on), // `crate::clients` is not `crate::cli`
                    "{at} uses {other}, which stands below {module}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} files were looked at");
}

#[test]
fn no_two_files_import_each_other() {
    let sources = &*SOURCES;
    let found = circles(&sources.imports());
    let named = |circle: &BTreeSet<usize>| -> Vec<&str> {
        let places = circle
            .iter()
            .map(|file| sources.files[*file].place.as_str());
        places.collect()
    };
    let circles: Vec<_> = found.iter().map(named).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn imports_are_found_through_everything_that_passes_them_on() {
    let sources = &*SOURCES;
    let imports = sources.imports();
    let count: usize = imports.iter().map(BTreeSet::len).sum();
    assert!(count > 800, "only {count} imports were found");
    let number = |place: &str| {
        let mut files = sources.files.iter();
        files.position(|file| file.place == place).unwrap()
    };
    let journal = number("revocation/journal/file.rs");
    assert!(imports[journal].contains(&number("revocation/entry.rs")));
    let circle = circles(&[
        BTreeSet::from([1]),
        BTreeSet::from([2]),
        BTreeSet::from([0]),
    ]);
    assert_eq!(circle, [BTreeSet::from([0, 1, 2])]);
}

#[test]
fn a_folder_is_opened_by_a_list_of_what_is_in_it() {
    let sources = &*SOURCES;
    let roots = sources.files.iter().filter(|file| file.is_module_root());
    let with_code: Vec<_> = roots
        .filter(|file| !file.only_declares)
        .map(|file| &file.place)
        .collect();
    assert!(with_code.is_empty(), "{with_code:#?}");
}

/// Names that several modules give to a type, each with the reason.
const SHARED_TYPE_NAMES: [(&str, &str); 1] = [(
    "Settings",
    "a module owns the type of its settings and is named before it: `committer::Settings`",
)];

#[test]
fn a_name_of_a_type_is_given_once() {
    let sources = &*SOURCES;
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in &sources.files {
        for name in &file.types {
            places.entry(name.clone()).or_default().push(&file.place);
        }
    }
    assert!(places.len() > 300, "only {} types were found", places.len());
    let is_shared = |name: &str| SHARED_TYPE_NAMES.iter().any(|(shared, _)| *shared == name);
    places.retain(|name, places| places.len() > 1 && !is_shared(name));
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn what_is_remembered_knows_nothing_of_the_cluster() {
    let naming = files_with(&["cluster", "gossip", "Mesh"]);
    let inside: Vec<_> = naming
        .into_iter()
        .filter(|file| file.starts_with("revocation/"))
        .collect();
    assert!(inside.is_empty(), "{inside:?}");
}

/// The tests that a page names as `(test: FILE NAME)`.
fn tests_named_by(line: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for part in line.split("(test: ").skip(1) {
        let end = part.find(')').unwrap_or(part.len());
        named.extend(part[..end].split_once(' '));
    }
    named
}

#[test]
fn every_invariant_names_the_test_that_holds_it() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/ARCHITECTURE.md")).unwrap();
    let (_, rest) = page.split_once("\n## Invariants\n").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let list = section
        .split("\n\n")
        .find(|part| part.trim_start().starts_with("- "));
    let items: Vec<String> = format!("\n{}", list.unwrap().trim())
        .split("\n- ")
        .skip(1)
        .map(|item| item.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(
        items.len() > 20,
        "only {} invariants were found",
        items.len()
    );
    for item in &items {
        let tests = tests_named_by(item);
        assert!(!tests.is_empty(), "no test is named: {item}");
        for (file, name) in tests {
            let text = fs::read_to_string(format!("{root}/{file}")).unwrap_or_default();
            let function = format!("fn {name}(");
            assert!(
                text.contains(&function),
                "{file} has no test {name}: {item}"
            );
        }
    }
}

/// As many files as a reader can keep apart at a glance.
const FILES_MAX: usize = 12;

#[test]
fn a_folder_of_more_than_a_dozen_files_says_why() {
    let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for file in files(Path::new(SRC)) {
        if !file.ends_with("mod.rs") && !file.ends_with("tests.rs") {
            *folders
                .entry(file.parent().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    folders.retain(|_, count| *count > FILES_MAX);
    for (folder, count) in folders {
        let root = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
        let at = folder.display();
        assert!(
            root.contains("//! More than a dozen files"),
            "{at} has {count} files and does not say why"
        );
    }
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
    let naming = files_with(&["redb"]);
    assert!(naming.contains(&"revocation/journal/store.rs".to_owned()));
    let elsewhere: Vec<_> = naming
        .into_iter()
        .filter(|file| !file.starts_with("revocation/journal/"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
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
        if has_word(&code, "tokio_util") || has_word(&code, "tokio_rustls") {
            let place = file.strip_prefix(SRC).unwrap();
            let is_transport = place.starts_with("cluster/transport");
            let is_the_way_to_redis = place.ends_with("bus/connector.rs");
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
        .filter(|file| !file.starts_with("cluster/bus/"))
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

/// The rules of a page that its citations call by a letter and a number, as in `attacks A13` or `_field_f5`.
fn lettered(text: &str, page: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let mut rules = Vec::new();
    for rest in text.split(page).skip(1) {
        let Some(rest) = rest.strip_prefix(['_', ' ']) else {
            continue;
        };
        let letter = rest.chars().next().filter(char::is_ascii_lowercase);
        let digits: String = rest
            .chars()
            .skip(1)
            .take_while(char::is_ascii_digit)
            .collect();
        if let Some(letter) = letter.filter(|_| !digits.is_empty()) {
            rules.push(format!("{}{digits}", letter.to_ascii_uppercase()));
        }
    }
    rules
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
            for page in ["attacks", "field"] {
                for rule in lettered(&text, page) {
                    let row = format!("| {page} {rule} |");
                    assert!(rules.contains(&row), "{}: {page} {rule}", file.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} citations were found");
}
