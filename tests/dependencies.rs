//! What is built into Doorward: used, explained, and no more than `deny.toml` allows.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// Where every dependency says what it saves and costs.
const EXPLAINED_IN: [&str; 2] = ["docs/decisions.md", "ARCHITECTURE.md"];

/// A crate of the program or its build.
struct Package {
    name: String,
    version: String,
    licence: String,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn table_in(file: &str) -> Table {
    fs::read_to_string(here(file)).unwrap().parse().unwrap()
}

/// A list of `deny.toml`.
fn list(section: &str, name: &str) -> Vec<Value> {
    let rules = table_in("deny.toml");
    rules[section][name].as_array().unwrap().clone()
}

fn texts(section: &str, name: &str) -> Vec<String> {
    let list = list(section, name);
    let texts = list.iter().map(|one| one.as_str().unwrap().to_owned());
    texts.collect()
}

/// The crates that a list of `[bans]` names, each with a reason.
fn crates_of(name: &str) -> Vec<String> {
    let list = list("bans", name);
    let crates = list.iter().map(|one| {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
        assert_ne!(text("reason"), "", "a reason is missing: {one}");
        text("crate").to_owned()
    });
    crates.collect()
}

/// Every crate that this machine builds for the program; what only the tests need is left out.
fn packages() -> Vec<Package> {
    let outcome = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}|{l}|"])
        .current_dir(here(""))
        .output()
        .unwrap();
    assert!(outcome.status.success(), "{outcome:?}");
    let lines = String::from_utf8(outcome.stdout).unwrap();
    let lines: BTreeSet<_> = lines.lines().collect();
    let packages = lines.iter().filter(|line| !line.is_empty()).map(|line| {
        let mut parts = line.split('|');
        let mut named = parts.next().unwrap().split(' ');
        Package {
            name: named.next().unwrap().to_owned(),
            version: named.next().unwrap().trim_start_matches('v').to_owned(),
            licence: parts.next().unwrap().to_owned(),
        }
    });
    packages.collect()
}

/// Whether one may choose among `allowed` alone what an SPDX expression asks for.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ");
    let spaced = spaced.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let may = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression}");
    may
}

fn any_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> bool {
    let mut may = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        may |= all_of(words, allowed);
    }
    may
}

fn all_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> bool {
    let mut may = one_of(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        may &= one_of(words, allowed);
    }
    may
}

fn one_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> bool {
    let Some(first) = words.next() else {
        return false; // no licence is no permission
    };
    if first == "(" {
        let may = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return may;
    }
    let licence = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{first} WITH {}", words.next().unwrap()),
        None => first.to_owned(),
    };
    allowed.contains(&licence)
}

/// Whether `name@1.2` means this version of this crate.
fn is_meant(spec: &str, name: &str, version: &str) -> bool {
    let (named, wanted) = spec.split_once('@').unwrap();
    let rest = version.strip_prefix(wanted);
    named == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The code in files of Rust below these folders, without comments.
fn code_below(folders: &[&str]) -> String {
    let mut code = String::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| here(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let lines = text.lines().filter(|line| !line.trim().starts_with("//"));
                lines.for_each(|line| code.extend([line, "\n"]));
            }
        }
    }
    code
}

/// Whether the code names the crate at the beginning of a path.
fn names(code: &str, dependency: &str) -> bool {
    let path = format!("{}::", dependency.replace('-', "_"));
    let begins = |at: usize| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':')
    };
    code.match_indices(&path).any(|(at, _)| begins(at))
}

#[test]
fn every_licence_is_allowed() {
    let allowed = texts("licenses", "allow");
    let packages = packages();
    let refused: Vec<_> = packages
        .iter()
        .filter(|one| !is_allowed(&one.licence, &allowed))
        .map(|one| format!("{} {}: {:?}", one.name, one.version, one.licence))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    for licence in &allowed {
        let is_found = packages.iter().any(|one| one.licence.contains(licence));
        assert!(is_found, "no crate has {licence}: let it go");
    }
}

#[test]
fn an_expression_of_licences_is_read_as_spdx_says() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, may) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-3.0-only AND MIT OR ISC", true),
        ("(GPL-3.0-only OR MIT) AND ISC", true),
        ("GPL-3.0-only OR (MIT AND Zlib)", false),
        ("MIT WITH LLVM-exception", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), may, "{expression}");
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    let allowed = texts("sources", "allow-registry");
    let allowed: Vec<_> = allowed
        .iter()
        .map(|url| format!("registry+{url}"))
        .collect();
    let lock = table_in("Cargo.lock");
    for package in lock["package"].as_array().unwrap() {
        let is_ours = package["name"].as_str() == Some(env!("CARGO_PKG_NAME"));
        let source = package.get("source").and_then(Value::as_str);
        let is_known = source.map_or(is_ours, |source| allowed.iter().any(|one| one == source));
        assert!(is_known, "{}: {source:?}", package["name"]);
    }
}

#[test]
fn no_crate_is_built_that_is_banned() {
    let packages = packages();
    for banned in crates_of("deny") {
        let is_built = packages.iter().any(|one| one.name == banned);
        assert!(
            !is_built,
            "{banned}: `cargo tree -i {banned}` says by way of what"
        );
    }
}

#[test]
fn a_crate_that_is_built_twice_has_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in packages() {
        versions.entry(one.name).or_default().insert(one.version);
    }
    versions.retain(|_, all| all.len() > 1);
    for spec in crates_of("skip") {
        let is_twice = versions.iter_mut().any(|(name, all)| {
            let meant = all.iter().find(|version| is_meant(&spec, name, version));
            meant.cloned().is_some_and(|meant| all.remove(&meant))
        });
        assert!(
            is_twice,
            "{spec} does not stand beside another one: let it go"
        );
    }
    versions.retain(|_, all| all.len() != 1);
    assert!(versions.is_empty(), "{versions:#?}");
}

#[test]
fn every_dependency_is_used() {
    let manifest = table_in("Cargo.toml");
    for (section, folders) in [
        ("dependencies", &["src"][..]),
        ("dev-dependencies", &["src", "tests", "benches"]),
    ] {
        let code = code_below(folders);
        for dependency in manifest[section].as_table().unwrap().keys() {
            assert!(names(&code, dependency), "{dependency}: no line uses it");
        }
    }
    assert!(!names("use my_http::x;\n use crate::http::y;", "http"));
    assert!(names("use http::x;", "http"));
}

#[test]
fn every_dependency_says_what_it_saves_and_costs() {
    let manifest = table_in("Cargo.toml");
    let explained = EXPLAINED_IN.map(|file| fs::read_to_string(here(file)).unwrap_or_default());
    let explained = explained.concat();
    let missing: Vec<_> = ["dependencies", "dev-dependencies"]
        .iter()
        .flat_map(|section| manifest[*section].as_table().unwrap().keys())
        .filter(|dependency| !explained.contains(&format!("`{dependency}`")))
        .collect();
    assert!(missing.is_empty(), "{EXPLAINED_IN:?} lack {missing:?}");
}
