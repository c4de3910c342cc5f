//! A JSON Schema of the configuration: what the readers ask for, and what `conf/doorward.toml` says of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::reference;
use crate::config::load::read;
use crate::config::presets::presets;
use crate::config::reading::Loading;
use crate::config::reading::record::{KeyShape, ReadKey};

/// Every way to write a key that can be written in several, beside those of the reference.
const OTHER_WAYS: &str = r#"
listen = [{ address = "127.0.0.1:1", redirect = "https", redirect_port = 1, proxy_protocol = ["unix:"], client_ca_file = "a", client_certificate = "optional", mode = "0660" }]
data_dir = "a"
[[upstream]]
name = "api"
servers = [{ address = "127.0.0.1:1", weight = 1, backup = true }]
[[shop]]
name = "a"
hosts = ["a"]
hsts = { max_age = "1d", include_subdomains = true, preload = true }
upstream = [{ address = "127.0.0.1:1", weight = 1, backup = true }]
retries = { attempts = 2, on = ["connect"], budget = "1%" }
compress = { types = ["a"], min_size = "1KiB", level = 1 }
mirror = { upstream = "api", rate = "1%" }
clear_cookies = [{ name = "a", path = "/", domain = "a", partitioned = true }]
own_logout = { revoke = "token", origins = [] }
client_key = { header = "a", pattern = "a", missing = { status = 401 }, invalid = { status = 401 } }
balance = { algorithm = "hash", hash = { cookie = "a" }, sticky = { cookie = "a", secret_file = "a" } }
health = { check = "http", path = "/", host = "a", status = ["2xx"] }
upstream_tls = { ca_file = "a", server_name = "a", cert_file = "a", key_file = "a" }
upstream_limits = { connections = 1, queue = 1, queue_timeout = "1s" }
[shop.token]
kind = "opaque"
claims = { id = "/a", subject = ["/a"], session = "/a", expires_at = { claim = "/a", unit = "seconds" }, issued_at = { claim = "/a", unit = "seconds" } }
introspection = { path = "/", subject = "/a", active = { status = ["2xx"], json = { "/a" = true } } }
[[shop.route]]
retries = { attempts = 2, on = ["connect"], budget = "1%" }
limit = { rate = "1/s", burst = 1, by = { header = "a" } }
split = [{ upstream = "api", weight = 1 }]
split_by = { cookie = "a" }
not = [{ paths = ["/a"], methods = ["GET"], from = ["unix:"], headers = { a = "b" }, query = { a = "b" }, cookies = { a = "b" }, body = { "/a" = "b" } }]
redirect = { status = 308, to = "/a" }
[[shop.route]]
respond = { status = 200, body = "a", file = "a", headers = { a = "b" } }
rewrite = { pattern = "a", to = "a" }
[[shop.logout]]
paths = ["/a"]
query = { a = "b" }
header = { a = "b" }
body = { "/a" = "b" }
clear_cookies = [{ name = "a", path = "/", domain = "a", partitioned = true }]
agreed = { status = ["2xx"], json = { "/a" = true } }
confirms_token = { status = ["2xx"], json = { "/a" = true } }
errors = { missing = { status = 401 }, invalid = { status = 401 } }
[[shop.refresh]]
paths = ["/a"]
query = { a = "b" }
header = { a = "b" }
body = { "/a" = "b" }
errors = { invalid = { status = 401 } }
[[shop.token_endpoint]]
paths = ["/a"]
query = { a = "b" }
header = { a = "b" }
body = { "/a" = "b" }
token = { json = ["/a"] }
[[shop]]
name = "b"
hosts = ["b"]
upstream = "api"
token = { kind = "opaque" }
hsts = "1d"
retries = true
compress = true
mirror = "api"
"#;

/// The keys of each table, and the ways in which each is read.
type Tables = BTreeMap<String, BTreeMap<String, Vec<KeyShape>>>;

/// The schema of the configuration, which an editor can complete and check by.
pub fn schema() -> Value {
    let tables = tables();
    let said = said();
    let mut root = object_of("", &tables, &said);
    let shop = object_of("shop", &tables, &said);
    if let Some(defaults) = root.pointer_mut("/properties/defaults") {
        *defaults = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "shop": { "$ref": "#/$defs/shop" } },
        });
    }
    if let Some(shops) = root.pointer_mut("/properties/shop/items") {
        *shops = json!({ "$ref": "#/$defs/shop" });
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("The configuration of Doorward");
    root["$defs"] = json!({ "shop": shop });
    sorted(root)
}

/// The same with the keys of every object in order, however `serde_json` was built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries: BTreeMap<_, _> = object.into_iter().collect();
            let entries = entries.into_iter();
            Value::Object(entries.map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn tables() -> Tables {
    let mut tables = Tables::new();
    let shops = presets().map(|(name, _)| of_preset(name));
    let texts = [reference::switched_on(), OTHER_WAYS.to_owned()];
    for text in texts.into_iter().chain(shops) {
        let loading = Loading::recording(Path::new("/nonexistent"));
        drop(read("schema", &text, &loading)); // what it can't do without files is not asked here
        for one in loading.take_reads() {
            note(&mut tables, one);
        }
    }
    for keys in tables.values_mut() {
        keys.retain(|_, shapes| !shapes.is_empty());
    }
    tables
}

/// A shop of this preset, which is read with all that the preset says.
fn of_preset(name: &str) -> String {
    format!(
        "[[shop]]\nname = \"a\"\npreset = \"{name}\"\nupstream = [\"127.0.0.1:1\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"a\"\n"
    )
}

/// A hint counts only beside a key that is read.
fn note(tables: &mut Tables, one: ReadKey) {
    let table = without_numbers(&one.table);
    let keys = tables.entry(table).or_default();
    let shapes = match keys.get_mut(&one.key) {
        Some(shapes) => shapes,
        None if one.is_hint => return,
        None => keys.entry(one.key).or_default(),
    };
    if !shapes.contains(&one.shape) {
        shapes.push(one.shape);
    }
}

/// The name of a table without the places in arrays: `shop.route` for `shop[0].route[2]`.
pub(super) fn without_numbers(path: &str) -> String {
    let parts = path.split('[').enumerate();
    let parts = parts.map(|(at, part)| match (at, part.split_once(']')) {
        (1.., Some((_, rest))) => rest,
        _ => part,
    });
    parts.collect()
}

fn said() -> BTreeMap<(String, String), String> {
    let mut said = BTreeMap::new();
    for one in reference::explained() {
        let words = if one.said.is_empty() {
            one.said_of_table
        } else {
            one.said
        };
        said.entry((one.table, one.key)).or_insert(words);
    }
    said
}

fn object_of(table: &str, tables: &Tables, said: &BTreeMap<(String, String), String>) -> Value {
    let mut properties = Map::new();
    let keys = tables.get(table);
    // Of a table that was read nowhere nothing is known: it is open, too.
    let is_open = keys.is_none_or(|keys| keys.contains_key("*"));
    for (key, shapes) in keys.into_iter().flatten() {
        // A table of the operator's own names: those of the example are none of the schema's.
        if key == "*" || is_open && *shapes != [KeyShape::Table] {
            continue;
        }
        let below = if table.is_empty() {
            key.clone()
        } else {
            format!("{table}.{key}")
        };
        let mut ways: Vec<Value> = Vec::new();
        for way in shapes
            .iter()
            .flat_map(|shape| ways_of(shape, &below, tables, said))
        {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let mut property = match ways.as_slice() {
            [only] => only.clone(),
            [..] => json!({ "anyOf": ways }),
        };
        if let Some(words) = said
            .get(&(table.to_owned(), key.clone()))
            .filter(|words| !words.is_empty())
        {
            property["description"] = json!(words);
        }
        properties.insert(key.clone(), property);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": is_open })
}

fn ways_of(
    shape: &KeyShape,
    below: &str,
    tables: &Tables,
    said: &BTreeMap<(String, String), String>,
) -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let scalar = || json!({ "type": ["string", "boolean", "integer"] });
    let array = |items: Value| json!({ "type": "array", "items": items });
    let table = || object_of(below, tables, said);
    let text_or_table = || json!({ "anyOf": [text(), table()] });
    match shape {
        KeyShape::Text => vec![text()],
        KeyShape::Texts => vec![array(text())],
        KeyShape::TextOrTexts => vec![text(), array(text())],
        KeyShape::Boolean => vec![json!({ "type": "boolean" })],
        KeyShape::Scalar => vec![scalar()],
        KeyShape::Scalars => vec![scalar(), array(scalar())],
        KeyShape::Integer(least, most) => {
            vec![json!({ "type": "integer", "minimum": least, "maximum": most })]
        }
        KeyShape::Duration => vec![json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })],
        KeyShape::Choice(names) => vec![json!({ "enum": names })],
        KeyShape::Table => vec![table()],
        KeyShape::TextOrTable => vec![text(), table()],
        KeyShape::TextsOrTables => vec![array(text_or_table())],
        KeyShape::TextOrTextsOrTables => vec![text(), array(text_or_table())],
        KeyShape::TableOrTables => vec![table(), array(table())],
        KeyShape::Tables => vec![array(table())],
        KeyShape::Named => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_without_its_places() {
        for (path, name) in [
            ("", ""),
            ("limits", "limits"),
            ("shop[0]", "shop"),
            ("shop[10].route[2].limit", "shop.route.limit"),
        ] {
            assert_eq!(without_numbers(path), name);
        }
    }
}
