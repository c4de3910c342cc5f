//! The pages: links that lead somewhere, a map of every folder, and a README of one screen or two.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::ROOT;

/// The pages of the project: those in its root, and below `docs/`.
fn pages() -> Vec<PathBuf> {
    let folders = [
        "",
        "docs",
        "docs/behind",
        "docs/coming-from",
        "docs/recipes",
        "docs/reference",
        "docs/shops",
        "benches",
    ];
    let entries = folders.map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap());
    let files = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// A page without its blocks of code.
fn prose_of(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    text.split("\n```").step_by(2).collect()
}

/// The names by which the headings of a page can be linked to.
fn anchors_of(page: &Path) -> BTreeSet<String> {
    let text = prose_of(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|heading| {
        let letters = heading.trim_start_matches('#').trim().chars();
        let kept = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    });
    anchors.collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        let text = prose_of(&page);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            let is_there = anchor.is_empty() || anchors_of(&target).contains(anchor);
            assert!(is_there, "{}: {link}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links were found");
}

#[test]
fn every_folder_of_the_crate_is_on_the_map() {
    let map = fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    let is_folder = |path: &PathBuf| path.is_dir();
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(is_folder)
    };
    let source = Path::new(ROOT).join("src");
    let folders: Vec<_> = below(&source).collect();
    let subfolders: Vec<_> = folders.iter().flat_map(|folder| below(folder)).collect();
    for folder in folders.iter().chain(&subfolders) {
        let name = format!("`{}/`", folder.strip_prefix(&source).unwrap().display());
        assert!(
            map.contains(&name),
            "ARCHITECTURE.md says nothing of {name}"
        );
    }
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    assert!(readme.lines().count() <= 200);
}
