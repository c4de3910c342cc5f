//! The pages about shops, `docs/shops/*.md`: each has its sections, and its configuration is one that `check` takes.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::path::Path;

use support::{Outcome, Shop, doorward, put};

const SECTIONS: [&str; 5] = [
    "\n## What the shop does by itself\n",
    "\n## What Doorward adds\n",
    "\n## Configuration\n",
    "\n## What cannot be done\n",
    "\n## Sources\n",
];

#[test]
fn every_page_has_its_sections_and_a_configuration_without_fault() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shops");
    let mut checked = 0;
    for entry in fs::read_dir(pages).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        let at = path.display();
        let places = SECTIONS.map(|section| page.find(section));
        assert!(places.iter().all(Option::is_some), "{at}: {places:?}");
        assert!(places.is_sorted(), "{at}: {places:?}");
        let outcome = check(configuration_of(&page));
        assert_eq!(outcome.code, Some(0), "{at}: {}", outcome.stderr);
        assert_eq!(outcome.stderr, "", "{at}");
        checked += 1;
    }
    assert!(checked > 0);
}

fn configuration_of(page: &str) -> &str {
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// With the files that it names.
fn check(configuration: &str) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("jwt.secret");
    put(home.path(), "jwt.secret", Shop::SECRET, 0o600);
    let config = home.path().join("doorward.toml");
    let named = secret.display().to_string();
    let text = configuration.replace("/etc/doorward/keys/jwt.secret", &named);
    fs::write(&config, text).unwrap();
    doorward(&["check", "--config", config.to_str().unwrap()])
}
