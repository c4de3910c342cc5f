//! What every preset says: calls, places of tokens, how far a logout reaches.

use std::collections::BTreeMap;
use std::fs;

use toml::{Table, Value};

use super::ROOT;
use super::page::{compare, head, page, row};

/// The presets: the names of their files, what stands first in them, and what they say.
fn presets() -> BTreeMap<String, (String, Table)> {
    let files = fs::read_dir(format!("{ROOT}/conf/presets")).unwrap();
    let read = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let title = text.lines().next().unwrap().trim_start_matches("# ");
        let title = title.split(['.', ':', ',']).next().unwrap().to_owned();
        (name, (title, text.parse().unwrap()))
    });
    read.collect()
}

/// The tables of this name, one or several.
fn tables<'a>(preset: &'a Table, name: &str) -> Vec<&'a Table> {
    match preset.get(name) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_table).collect(),
        Some(Value::Table(one)) => vec![one],
        _ => Vec::new(),
    }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The calls of these rules, each once.
fn calls(rules: &[&Table]) -> String {
    let mut all = Vec::new();
    for rule in rules {
        let methods = strings(rule.get("methods")).join(", ");
        let methods = if methods.is_empty() { "POST" } else { &methods };
        let fields = strings(rule.get("graphql"));
        let query = rule.get("query").and_then(Value::as_table);
        let query = query.into_iter().flatten().map(|(name, value)| {
            let values = strings(Some(value)).join(" or ");
            format!("{name}={values}")
        });
        let query = query.collect::<Vec<_>>().join("&");
        for path in strings(rule.get("paths")) {
            let call = if !fields.is_empty() {
                format!("`{}` at `{path}`", fields.join("`, `"))
            } else if query.is_empty() {
                format!("`{methods} {path}`")
            } else {
                format!("`{methods} {path}?{query}`")
            };
            if !all.contains(&call) {
                all.push(call);
            }
        }
    }
    all.join("<br>")
}

/// The places of tokens, each once.
fn places(preset: &Table) -> String {
    let kinds = [
        "header",
        "cookie",
        "query",
        "form",
        "body",
        "graphql",
        "subprotocol",
    ];
    let mut all = Vec::new();
    for credential in tables(preset, "credential") {
        for kind in kinds {
            if let Some(name) = credential.get(kind).and_then(Value::as_str) {
                let place = format!("{kind} `{name}`");
                if !all.contains(&place) {
                    all.push(place);
                }
            }
        }
    }
    if all.is_empty() {
        all.push("header `authorization`".to_owned()); // as a shop without any table of its own
    }
    all.join("<br>")
}

/// How far the logouts reach.
fn reach(preset: &Table) -> String {
    let logouts = tables(preset, "logout");
    let words = logouts.iter().map(|rule| {
        rule.get("revoke")
            .and_then(Value::as_str)
            .unwrap_or("token")
    });
    let mut words: Vec<_> = words.collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

#[test]
fn every_preset_is_in_the_reference() {
    let mut out = page(
        "Presets",
        "conf/presets/",
        "What each preset says. [Shops](../shops/README.md) has a page for each. `/_doorward/logout` works with every preset.",
    );
    head(
        &mut out,
        &[
            "preset",
            "shop",
            "logout calls",
            "revokes",
            "tokens",
            "refresh calls",
        ],
    );
    let presets = presets();
    assert!(
        presets.len() > 15,
        "only {} presets were found",
        presets.len()
    );
    for (name, (title, preset)) in &presets {
        let link = format!("[`{name}`](../shops/{name}.md)");
        let logouts = calls(&tables(preset, "logout"));
        let logouts = if logouts.is_empty() {
            "none".to_owned()
        } else {
            logouts
        };
        let refreshes = calls(&tables(preset, "refresh"));
        row(
            &mut out,
            &[
                &link,
                title,
                &logouts,
                &reach(preset),
                &places(preset),
                &refreshes,
            ],
        );
    }
    compare("shops.md", &out);
}
