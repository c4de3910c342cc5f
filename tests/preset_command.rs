//! `doorward preset`: what is built in can be read.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::Value;
use support::doorward;

#[test]
fn every_preset_is_listed_and_shown_as_it_stands() {
    let listed = doorward(&["preset", "list", "--json"]);
    assert_eq!(listed.code, Some(0));
    let all: Value = serde_json::from_str(&listed.stdout).unwrap();
    let all = all.as_array().unwrap();
    assert!(all.len() > 15, "{all:?}");
    let lines = doorward(&["preset", "list"]).stdout;
    for one in all {
        let (name, title) = (
            one["name"].as_str().unwrap(),
            one["title"].as_str().unwrap(),
        );
        assert!(lines.contains(name) && lines.contains(title) && !title.is_empty());
        let shown = doorward(&["preset", "show", name]);
        let file = format!("{}/conf/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(shown.stdout, std::fs::read_to_string(file).unwrap());
    }
    let unknown = doorward(&["preset", "show", "bagist"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("known: bagisto, "), "{unknown:?}");
}
