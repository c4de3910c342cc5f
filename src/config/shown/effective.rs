//! The configuration that is in force: what is written, what presets add, and the defaults of what is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::reference;
use super::schema::without_numbers;
use crate::config::fault::{Fault, Faults};
use crate::config::load::{folder_of, read};
use crate::config::reading::Loading;
use crate::config::reading::record::{KeyShape, ReadKey};

/// A key of the configuration that is in force.
#[derive(Clone, Debug)]
pub struct EffectiveKey {
    /// Its table: `shop[0].token`; empty for the keys at the top.
    pub table: String,
    /// Its name.
    pub key: String,
    /// Its value; `None`: it is left out, and has no default of its own.
    pub value: Option<toml::Value>,
    /// Where the value comes from.
    pub origin: KeyOrigin,
}

/// Where the value of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// It is written: in which file, or preset, and line.
    Written(String, usize),
    /// The same, and it may be a secret: the value is not told.
    Hidden(String, usize),
    /// It is left out: this is the default.
    Default,
    /// It is left out.
    LeftOut,
}

/// The tables whose keys have the default that `conf/doorward.toml` shows for them, unless it says what holds if they are left out.
const WITH_DEFAULTS: [&str; 12] = [
    "",
    "limits",
    "drain",
    "shop",
    "shop.token",
    "shop.path_style",
    "shop.refusal",
    "shop.balance",
    "shop.health",
    "shop.timeouts",
    "shop.limits",
    "shop.graphql",
];

/// Keys of these whose default is what the preset says.
const OF_PRESET: [&str; 3] = ["answer", "cart", "revoke"];

/// Reads a configuration, and tells every key of it that is in force, table by table in the order in which they are read.
///
/// # Errors
///
/// Every fault of the configuration.
pub fn effective(path: &Path) -> Result<Vec<EffectiveKey>, Faults> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let mut faults = Faults::default();
        faults.push(Fault::error(format!("{name} can't be read: {error}")));
        faults
    })?;
    let loading = Loading::recording(folder_of(path));
    let config = read(&name, &text, &loading);
    let reads = loading.take_reads();
    let faults = loading.into_faults();
    if config.is_none() || faults.is_fatal() {
        return Err(faults);
    }
    Ok(told(&reads))
}

/// The default of every key that has one, as it is written in the reference.
pub fn defaults() -> BTreeMap<(String, String), toml::Value> {
    let mut defaults = BTreeMap::new();
    let mut seen = Vec::new();
    for one in reference::explained() {
        let place = (one.table.clone(), one.key.clone());
        if seen.contains(&place) {
            continue; // another example of it
        }
        seen.push(place);
        let says_else = |text: &str| text.contains("eft out");
        let is_default = one.is_left_out
            && WITH_DEFAULTS.contains(&one.table.as_str())
            && !OF_PRESET.contains(&one.key.as_str())
            && !says_else(&one.said);
        let value = format!("value = {}", one.value).parse::<toml::Table>();
        let value = value.ok().and_then(|mut table| table.remove("value"));
        // What is an array or a table is an example.
        let value = value.filter(|value| is_default && !value.is_array() && !value.is_table());
        if let Some(value) = value {
            defaults.entry((one.table, one.key)).or_insert(value);
        }
    }
    defaults
}

fn told(reads: &[ReadKey]) -> Vec<EffectiveKey> {
    let defaults = defaults();
    let mut keys: Vec<EffectiveKey> = Vec::new();
    let mut inline: Vec<String> = Vec::new();
    for one in reads.iter().filter(|one| !one.is_hint) {
        let is_in =
            |table: &String| one.table == *table || one.table.starts_with(&format!("{table}."));
        if inline
            .iter()
            .any(|path| is_in(path) || one.table.starts_with(&format!("{path}[")))
        {
            continue;
        }
        if is_expanded(one) {
            continue;
        }
        if one.key == "*"
            || keys
                .iter()
                .any(|known| known.table == one.table && known.key == one.key)
        {
            continue;
        }
        inline.push(below(&one.table, &one.key));
        keys.push(effective_key(one, &defaults));
    }
    add_absent_tables(&mut keys, reads, &defaults);
    in_order(&keys)
}

/// Whether a key is told as a table of its own.
fn is_expanded(one: &ReadKey) -> bool {
    match one.shape {
        KeyShape::Table | KeyShape::TableOrTables | KeyShape::Tables => true,
        KeyShape::Text
        | KeyShape::Texts
        | KeyShape::TextOrTexts
        | KeyShape::Boolean
        | KeyShape::Scalar
        | KeyShape::Scalars
        | KeyShape::Integer(..)
        | KeyShape::Duration
        | KeyShape::Choice(_)
        | KeyShape::TextOrTable
        | KeyShape::TextsOrTables
        | KeyShape::TextOrTextsOrTables
        | KeyShape::Named => false,
    }
}

fn below(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

fn effective_key(
    one: &ReadKey,
    defaults: &BTreeMap<(String, String), toml::Value>,
) -> EffectiveKey {
    let (value, origin) = match &one.written {
        Some(written) => {
            let place = written.spot.source_name().to_owned();
            let line = written.spot.line().unwrap_or_default();
            if written.spot.is_secret() {
                (None, KeyOrigin::Hidden(place, line))
            } else {
                (Some(written.value.clone()), KeyOrigin::Written(place, line))
            }
        }
        None => match defaults.get(&(without_numbers(&one.table), one.key.clone())) {
            Some(value) => (Some(value.clone()), KeyOrigin::Default),
            None => (None, KeyOrigin::LeftOut),
        },
    };
    EffectiveKey {
        table: one.table.clone(),
        key: one.key.clone(),
        value,
        origin,
    }
}

/// Adds the defaults of tables that are left out: those at the top, and those of each shop.
fn add_absent_tables(
    keys: &mut Vec<EffectiveKey>,
    reads: &[ReadKey],
    defaults: &BTreeMap<(String, String), toml::Value>,
) {
    let shops = reads
        .iter()
        .filter(|one| one.key == "name" && without_numbers(&one.table) == "shop");
    let mut owners: Vec<&str> = shops.map(|one| one.table.as_str()).collect();
    owners.dedup();
    for ((table, key), value) in defaults {
        let homes = match table.split_once('.') {
            Some((_, inner)) => owners
                .iter()
                .map(|shop| format!("{shop}.{inner}"))
                .collect(),
            None if table.is_empty() || table == "shop" => Vec::new(),
            None => vec![table.clone()],
        };
        for home in homes {
            // `[[shop.token]]` has places.
            let is_there = |one: &EffectiveKey| {
                one.table == home && one.key == *key || one.table.starts_with(&format!("{home}["))
            };
            if !keys.iter().any(is_there) {
                keys.push(EffectiveKey {
                    table: home,
                    key: key.clone(),
                    value: Some(value.clone()),
                    origin: KeyOrigin::Default,
                });
            }
        }
    }
}

/// Tables in the order in which they are first told, each after the one that it is in.
fn in_order(keys: &[EffectiveKey]) -> Vec<EffectiveKey> {
    let mut tables: Vec<String> = Vec::new();
    for key in keys {
        if !tables.contains(&key.table) {
            let home = |table: &String| {
                let rest = key.table.strip_prefix(table.as_str());
                !table.is_empty() && rest.is_some_and(|rest| rest.starts_with('.'))
            };
            let last = |table: &String| {
                let owner = key.table.rsplit_once('.').map_or("", |(owner, _)| owner);
                !owner.is_empty() && (table == owner || table.starts_with(&format!("{owner}.")))
            };
            let at = tables.iter().rposition(|table| home(table) || last(table));
            match at {
                Some(at) => tables.insert(at + 1, key.table.clone()),
                None => tables.push(key.table.clone()),
            }
        }
    }
    let mut ordered = Vec::new();
    for table in &tables {
        ordered.extend(keys.iter().filter(|key| key.table == *table).cloned());
    }
    ordered
}
