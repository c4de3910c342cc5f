//! Digests of a configuration, key by key, with the content of the files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::{Table, Value};

use crate::config::reading::file::FILE_BYTES_MAX;
use crate::config::reading::named_path::expanded;
use crate::server::Outline;

/// The outline of the texts of a configuration without faults. The keys of a shop are told apart: `shop main: token.leeway`.
pub(crate) fn digest_keys<'t>(texts: impl Iterator<Item = &'t str>, base_dir: &Path) -> Outline {
    let mut outline = Outline::default();
    for text in texts {
        note_text(&mut outline, text, base_dir);
    }
    outline
}

fn note_text(outline: &mut Outline, text: &str, base_dir: &Path) {
    let root: Table = text.parse().unwrap_or_default();
    for (key, value) in &root {
        match value {
            Value::Array(shops) if key == "shop" => {
                for shop in shops.iter().filter_map(Value::as_table) {
                    let name = shop.get("name").and_then(Value::as_str).unwrap_or_default();
                    note_all(outline, &format!("shop {name}: "), shop, base_dir);
                }
            }
            Value::Table(table) => note_all(outline, &format!("{key}."), table, base_dir),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => outline.insert_beside(key, digest(key, value, base_dir)),
        }
    }
}

fn note_all(outline: &mut Outline, before: &str, table: &Table, base_dir: &Path) {
    for (key, value) in table {
        let name = format!("{before}{key}");
        match value {
            Value::Table(inner) if key == "token" => {
                note_all(outline, &format!("{name}."), inner, base_dir);
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => outline.insert(name, digest(key, value, base_dir)),
        }
    }
}

fn digest(key: &str, value: &Value, base_dir: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(value.to_string().as_bytes());
    hash_files(&mut hasher, key, value, base_dir);
    hasher.finalize()
}

/// Adds the content of the files that a key names: a new key or certificate may have the old name.
fn hash_files(hasher: &mut blake3::Hasher, key: &str, value: &Value, base_dir: &Path) {
    match value {
        Value::String(name) if key.contains("file") => {
            let content = expanded(name).map(|path| content_of(&base_dir.join(path)));
            let content = content.ok().and_then(Result::ok).unwrap_or_default();
            hasher.update(blake3::hash(&content).as_bytes());
        }
        Value::Array(items) => {
            for item in items {
                hash_files(hasher, key, item, base_dir);
            }
        }
        Value::Table(table) => {
            for (key, value) in table {
                hash_files(hasher, key, value, base_dir);
            }
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => {}
    }
}

fn content_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut content)?;
    Ok(content)
}
