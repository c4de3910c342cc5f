//! A table of the operator's file, laid over the same table of a preset.

use std::fmt::Display;
use std::iter;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Layer, TomlDocument, Value};
use super::duration;
use super::lines::SourceLines;
use super::record::{KeyShape, ReadKey, WrittenKey};
use super::text::TomlText;
use crate::config::fault::{Fault, SourceSpot};

/// A table of the operator's file, laid over the same table of a preset.
///
/// Every key the operator wrote overrides; sub-tables merge key by key;
/// arrays of tables are concatenated, the operator's first.
/// Asking for a key makes it known; [`Table::finish`] reports the keys that were never asked for.
#[must_use = "its unknown keys are only reported by `finish`"]
pub(crate) struct TomlTable<'a> {
    top: Layer<'a>,
    below: Vec<Layer<'a>>,
    asked: Vec<String>,
    /// Keys that had another name before.
    renamed: Vec<RenamedKey>,
    /// Former names of keys: they are known, and not suggested.
    former: Vec<&'static str>,
    home: Option<Home>,
    /// Where it is: `shop[0].token`; empty for the whole, and `preset` for a preset as such.
    path: String,
}

/// A key that had another name before.
struct RenamedKey {
    name: &'static str,
    former: &'static str,
    values: FormerValues,
}

/// Which values under a former name belong to the key: the former name may have had two meanings.
#[derive(Clone, Copy)]
enum FormerValues {
    All,
    Strings,
    AllButStrings,
    Table,
}

impl FormerValues {
    fn include(self, value: &Value<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Strings => value.is_text(),
            Self::AllButStrings => !value.is_text(),
            Self::Table => value.is_table(),
        }
    }
}

/// Where the operator would write a table that only the preset has: under this one, along this path.
struct Home {
    spot: SourceSpot,
    path: String,
}

/// A value that is a string or a table.
pub(crate) enum TextOrTable<'a> {
    /// A string.
    Text(TomlText<'a>),
    /// A table.
    Table(TomlTable<'a>),
}

/// What a preset as such is called: what is read of it is not recorded.
const PRESET: &str = "preset";

impl<'a> TomlTable<'a> {
    /// Records that a key is read, or only looked at.
    fn note(&self, key: &str, shape: impl FnOnce() -> KeyShape, is_hint: bool) {
        if self.path.starts_with(PRESET) {
            return;
        }
        self.top.document().loading().note_read(|| ReadKey {
            table: self.path.clone(),
            key: key.to_owned(),
            shape: shape(),
            is_hint,
            written: self.first_value(key).map(|value| WrittenKey {
                value: value.to_toml(),
                spot: value.spot(),
            }),
        });
    }

    /// The path of what is below a key.
    fn below(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// The whole of a document.
    pub(crate) fn root(document: &'a TomlDocument<'a>) -> Self {
        let path = if document.is_preset() { PRESET } else { "" };
        Self::new(document.layer(), Vec::new(), path.to_owned())
    }

    /// The whole of the operator's documents; no key but an array of tables is in two of them.
    pub(crate) fn roots(first: &'a TomlDocument<'a>, others: &'a [TomlDocument<'a>]) -> Self {
        Self::new(
            first.layer(),
            others.iter().map(TomlDocument::layer).collect(),
            String::new(),
        )
    }

    /// Lays this table over another one of the operator's.
    pub(crate) fn over_table(mut self, other: Option<&Self>) -> Self {
        let layers = other.into_iter().flat_map(Self::layers);
        self.below.extend(layers.cloned());
        self
    }

    /// Lays this table over the root of a preset.
    pub(crate) fn over(mut self, preset: Option<&'a TomlDocument<'a>>) -> Self {
        self.below.extend(preset.map(TomlDocument::layer));
        self
    }

    fn new(top: Layer<'a>, below: Vec<Layer<'a>>, path: String) -> Self {
        Self {
            top,
            below,
            asked: Vec::new(),
            renamed: Vec::new(),
            former: Vec::new(),
            home: None,
            path,
        }
    }

    /// The first one that has a key wins.
    fn layers(&self) -> impl Iterator<Item = &Layer<'a>> {
        iter::once(&self.top).chain(&self.below)
    }

    /// Reads a key under its former name, too, with a warning; the two together are a fault.
    pub(crate) fn renamed(&mut self, key: &'static str, former: &'static str) {
        self.rename(key, former, FormerValues::All);
    }

    /// As `renamed`, where the former name had two meanings: for a string, and for tables. The key had the one for strings.
    pub(crate) fn renamed_string(&mut self, key: &'static str, former: &'static str) {
        self.rename(key, former, FormerValues::Strings);
    }

    /// As `renamed_string`, where the key had the meaning for tables.
    pub(crate) fn renamed_tables(&mut self, key: &'static str, former: &'static str) {
        self.rename(key, former, FormerValues::AllButStrings);
    }

    /// As `renamed_tables`, where the former name has another meaning for anything but a table.
    pub(crate) fn renamed_table(&mut self, key: &'static str, former: &'static str) {
        self.rename(key, former, FormerValues::Table);
    }

    fn rename(&mut self, name: &'static str, former: &'static str, values: FormerValues) {
        self.renamed.push(RenamedKey {
            name,
            former,
            values,
        });
        self.former.push(former);
        for layer in self.layers() {
            let written = layer.value(former);
            if let Some(written) = written.filter(|value| values.include(value)) {
                self.report(former_name(name, former, layer.has(name)).at(&written.spot()));
            }
        }
    }

    /// What a layer has under a key, or under its former name.
    fn value_in(&self, layer: &Layer<'a>, key: &str) -> Option<Value<'a>> {
        let former = || {
            let mut renamed = self.renamed.iter();
            let renamed = renamed.find(|renamed| renamed.name == key)?;
            let value = layer.value(renamed.former);
            value.filter(|value| renamed.values.include(value))
        };
        layer.value(key).or_else(former)
    }

    /// Whether the first layer that has a key has it under its former name.
    pub(crate) fn is_by_former_name(&self, key: &str) -> bool {
        let mut layers = self.layers();
        let written = layers.find(|layer| self.value_in(layer, key).is_some());
        written.is_some_and(|layer| !layer.has(key))
    }

    /// How many tables of an array the operator wrote.
    pub(crate) fn count_own(&self, key: &str) -> usize {
        let own = self.layers().filter(|layer| !layer.document().is_preset());
        let items = own.filter_map(|layer| self.value_in(layer, key)?.items());
        items.map(|items| items.len()).sum()
    }

    /// Where each key is written, the operator's before those of the preset.
    pub(crate) fn lines(&self) -> SourceLines {
        let mut lines = SourceLines {
            table: self.spot().place(),
            ..SourceLines::default()
        };
        for layer in self.layers() {
            for key in layer.keys() {
                let Some(value) = layer.value(key) else {
                    continue;
                };
                let items = value
                    .items()
                    .filter(|items| items.iter().all(Value::is_table));
                let items = items.filter(|items| !items.is_empty());
                let values = items.unwrap_or_else(|| vec![value]);
                let places = values.iter().map(|value| value.spot().place());
                lines.keys.entry(key.to_owned()).or_default().extend(places);
            }
        }
        lines
    }

    /// Whether one document has both keys.
    pub(crate) fn has_together(&self, one: &str, other: &str) -> bool {
        self.layers()
            .any(|layer| layer.has(one) && layer.has(other))
    }

    /// Reports a fault, which says its place itself.
    pub(crate) fn report(&self, fault: Fault) {
        self.top.document().loading().report(fault);
    }

    /// Reports a fault of what is written under a key; of a key that is left out there is none.
    pub(crate) fn report_at(&self, key: &str, fault: Fault) {
        if let Some(spot) = self.spot_of(key) {
            self.report(fault.at(&spot));
        }
    }

    /// Reports a fault of the table as a whole.
    pub(crate) fn report_here(&self, fault: Fault) {
        self.report(fault.at(&self.spot()));
    }

    /// A string.
    pub(crate) fn string(&mut self, key: &str) -> Option<TomlText<'a>> {
        self.read(key, "a string", KeyShape::Text, Value::text)
    }

    /// A string that must be there.
    pub(crate) fn required_string(&mut self, key: &str, expected: &str) -> Option<TomlText<'a>> {
        let text = self.string(key);
        self.missing(key, expected);
        text
    }

    /// A string, made a type.
    pub(crate) fn string_as<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.string(key)?.parse_as(read)
    }

    /// A string that must be there, made a type.
    pub(crate) fn required_string_as<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.required_string(key, expected)?.parse_as(read)
    }

    /// An array of strings.
    pub(crate) fn strings(&mut self, key: &str) -> Option<Vec<TomlText<'a>>> {
        let items = self.read(key, "an array of strings", KeyShape::Texts, Value::items)?;
        texts_of(&items, key)
    }

    /// An array of strings, each made a type; none where the key is left out.
    pub(crate) fn strings_as<T>(
        &mut self,
        key: &str,
        read: impl Fn(&'a str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let texts = self.strings(key).unwrap_or_default();
        parsed(&texts, read)
    }

    /// A string standing for an array of one, or an array of strings.
    pub(crate) fn string_or_strings(&mut self, key: &str) -> Option<Vec<TomlText<'a>>> {
        let expected = "a string or an array of strings";
        let items = self.read(key, expected, KeyShape::TextOrTexts, Value::item_or_items)?;
        texts_of(&items, key)
    }

    /// The same, each made a type; none where the key is left out.
    pub(crate) fn string_or_strings_as<T>(
        &mut self,
        key: &str,
        read: impl Fn(&'a str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let texts = self.string_or_strings(key).unwrap_or_default();
        parsed(&texts, read)
    }

    /// The same, where an empty array would mean everything or nothing by accident: it is a fault.
    pub(crate) fn one_or_more_as<T>(
        &mut self,
        key: &str,
        read: impl Fn(&'a str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let texts = self.string_or_strings(key);
        if texts.as_ref().is_some_and(Vec::is_empty) {
            let fault = Fault::error(format!("`{key}` names nothing"));
            self.report_at(key, fault.help(format!("leave `{key}` out, or name one")));
        }
        parsed(&texts.unwrap_or_default(), read)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, "a boolean", KeyShape::Boolean, Value::boolean)
    }

    /// A string, a boolean or a whole number, for what is compared with JSON.
    pub(crate) fn scalar(&mut self, key: &str) -> Option<serde_json::Value> {
        let expected = "a string, a boolean or an integer";
        self.read(key, expected, KeyShape::Scalar, Value::scalar)
    }

    /// The same, one or an array of them, each with its place.
    pub(crate) fn scalars(&mut self, key: &str) -> Option<Vec<(serde_json::Value, SourceSpot)>> {
        self.note(key, || KeyShape::Scalars, false);
        let value = self.value(key)?;
        let items = value.items().unwrap_or_else(|| vec![value]);
        let scalars = items.iter().filter_map(|item| {
            let scalar = item.scalar();
            if scalar.is_none() {
                item.report_misfit(key, "a string, a boolean or an integer");
            }
            Some((scalar?, item.spot()))
        });
        Some(scalars.collect())
    }

    /// Whether a string is written under a key that may be something else.
    pub(crate) fn has_string(&self, key: &str) -> bool {
        self.note(key, || KeyShape::Text, true);
        let value = self.first_value(key);
        value.is_some_and(|value| value.is_text())
    }

    /// Whether a table is written under a key that may be something else.
    pub(crate) fn has_table(&self, key: &str) -> bool {
        self.note(key, || KeyShape::Table, true);
        let value = self.first_value(key);
        value.is_some_and(|value| value.is_table())
    }

    /// Whether a boolean is written under a key that may be something else.
    pub(crate) fn has_boolean(&self, key: &str) -> bool {
        self.note(key, || KeyShape::Boolean, true);
        let value = self.first_value(key);
        value.is_some_and(|value| value.boolean().is_some())
    }

    /// Makes a key known without reading it: what is written there has had its fault.
    pub(crate) fn ignore(&mut self, key: &str) {
        self.asked.push(key.to_owned());
    }

    /// A whole number within the range.
    pub(crate) fn integer<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let bound = |bound: &T, other| bound.to_string().parse().unwrap_or(other);
        let bounds = || KeyShape::Integer(bound(range.start(), 0), bound(range.end(), i64::MAX));
        self.note(key, bounds, false);
        let value = self.value(key)?;
        let number = value.integer().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            value.report_out_of_range(key, &format!("an integer from {least} to {most}"));
        }
        number
    }

    /// A duration such as `90s`.
    pub(crate) fn duration(&mut self, key: &str) -> Option<Duration> {
        let text = self.read(key, "a string", KeyShape::Duration, Value::text);
        text?.parse(duration::parse)
    }

    /// A duration within the range; `expected` is the range in words.
    pub(crate) fn duration_within(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        expected: &str,
    ) -> Option<Duration> {
        let text = self.read(key, "a string", KeyShape::Duration, Value::text)?;
        let duration = text.parse(duration::parse)?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let fault = Fault::error(format!("`{key}` is out of range"));
        text.report(fault.label(format!("expected {expected}")));
        None
    }

    /// One of these names, as the value it stands for.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, names: &[(&str, T)]) -> Option<T> {
        self.read_choice(key, names)?.choose(key, names)
    }

    fn read_choice<T>(&mut self, key: &str, names: &[(&str, T)]) -> Option<TomlText<'a>> {
        let names = names.iter().map(|(name, _)| (*name).to_owned());
        self.read(
            key,
            "a string",
            KeyShape::Choice(names.collect()),
            Value::text,
        )
    }

    /// As `choice`, of a key that is no longer suggested.
    pub(crate) fn former_choice<T: Copy>(
        &mut self,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Option<T> {
        self.former.push(key);
        let value = self.first_value(key)?;
        let text = value.text();
        if text.is_none() {
            value.report_misfit(key, "a string");
        }
        text?.choose(key, names)
    }

    /// As `choice`, where some names had another one before.
    pub(crate) fn choice_renamed<T: Copy>(
        &mut self,
        key: &str,
        names: &[(&str, T)],
        renamed: &[(&str, &str)],
    ) -> Option<T> {
        self.read_choice(key, names)?
            .choose_renamed(key, names, renamed)
    }

    /// A sub-table, merged from every layer that has it.
    pub(crate) fn table(&mut self, key: &str) -> Option<TomlTable<'a>> {
        self.note(key, || KeyShape::Table, false);
        let values = self.values(key);
        self.table_of(&values, key)
    }

    /// A string, or a sub-table; below the operator's only what is of the same type counts.
    pub(crate) fn string_or_table(&mut self, key: &str) -> Option<TextOrTable<'a>> {
        self.note(key, || KeyShape::TextOrTable, false);
        let mut values = self.values(key);
        if let Some(text) = values.first()?.text() {
            return Some(TextOrTable::Text(text));
        }
        values.retain(|value| !value.is_text());
        self.table_of(&values, key).map(TextOrTable::Table)
    }

    /// An array of strings and tables; all of them, or the faults of those that are neither.
    pub(crate) fn texts_or_tables(&mut self, key: &str) -> Option<Vec<TextOrTable<'a>>> {
        let expected = "an array of strings or tables";
        let items = self.read(key, expected, KeyShape::TextsOrTables, Value::items)?;
        texts_or_tables_of(&items, key, &self.below(key))
    }

    /// The same, or a string standing for an array of one.
    pub(crate) fn text_or_texts_or_tables(&mut self, key: &str) -> Option<Vec<TextOrTable<'a>>> {
        let expected = "a string, or an array of strings or tables";
        let shape = KeyShape::TextOrTextsOrTables;
        let items = self.read(key, expected, shape, Value::item_or_items)?;
        texts_or_tables_of(&items, key, &self.below(key))
    }

    /// A sub-table, or each table of an array in its place: every one of the operator's laid over the one below.
    pub(crate) fn table_or_tables(&mut self, key: &str) -> Vec<TomlTable<'a>> {
        self.note(key, || KeyShape::TableOrTables, false);
        let values = self.values(key);
        let Some((items, below)) = values.split_first().and_then(|(first, below)| {
            let items = first.items().filter(|items| !items.is_empty())?;
            Some((items, below))
        }) else {
            return self.table_of(&values, key).into_iter().collect();
        };
        let tops = layers_of(&items, key).into_iter().enumerate();
        let path = self.below(key);
        tops.map(|(at, top)| TomlTable::new(top, layers_of(below, key), format!("{path}[{at}]")))
            .collect()
    }

    /// The tables of an array: the operator's, then the preset's.
    pub(crate) fn tables(&mut self, key: &str) -> Vec<TomlTable<'a>> {
        self.note(key, || KeyShape::Tables, false);
        tables_of(&self.values(key), key, &self.below(key))
    }

    fn table_of(&self, values: &[Value<'a>], key: &str) -> Option<TomlTable<'a>> {
        let mut layers = layers_of(values, key).into_iter();
        let top = layers.next()?;
        let home = top.document().is_preset().then(|| self.home_of(key));
        let mut table = TomlTable::new(top, layers.collect(), self.below(key));
        table.home = home;
        Some(table)
    }

    fn home_of(&self, key: &str) -> Home {
        match &self.home {
            None => Home {
                spot: self.spot(),
                path: format!("{key}."),
            },
            Some(home) => Home {
                spot: home.spot.clone(),
                path: format!("{}{key}.", home.path),
            },
        }
    }

    /// Whether the operator wrote it, and not a preset.
    pub(crate) fn is_operators(&self) -> bool {
        !self.top.document().is_preset()
    }

    /// Every key that is written, for tables whose keys are the operator's own names.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        self.note("*", || KeyShape::Named, false);
        let mut keys: Vec<&str> = self.layers().flat_map(Layer::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Reports a required key that no layer has.
    ///
    /// May be called whenever a getter returned nothing: what is written but does not fit
    /// has had its fault already, and a file with syntax faults may have lost the key to them.
    pub(crate) fn missing(&self, key: &str, expected: &str) {
        if self.lacks(key) {
            let (spot, path) = match &self.home {
                Some(home) => (home.spot.clone(), home.path.as_str()),
                None => (self.spot(), ""),
            };
            let fault = Fault::error(format!("missing key `{path}{key}`")).at(&spot);
            self.report(fault.label(format!("expected {expected}")));
        }
    }

    /// Whether a key is surely left out: a file with syntax faults may have lost it to them.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        !self
            .layers()
            .any(|layer| self.value_in(layer, key).is_some() || layer.document().is_damaged())
    }

    /// Where the table is written: its header, or its braces.
    pub(crate) fn spot(&self) -> SourceSpot {
        self.top.spot()
    }

    /// Where a key's value is written.
    pub(crate) fn spot_of(&self, key: &str) -> Option<SourceSpot> {
        Some(self.first_value(key)?.spot())
    }

    /// Reports every key that was never asked for.
    pub(crate) fn finish(self) {
        for layer in self.layers() {
            layer.report_unknown(&self.asked, &self.former);
        }
    }

    fn first_value(&self, key: &str) -> Option<Value<'a>> {
        self.layers().find_map(|layer| self.value_in(layer, key))
    }

    fn values(&mut self, key: &str) -> Vec<Value<'a>> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        let values = self.layers().filter_map(|layer| self.value_in(layer, key));
        values.collect()
    }

    fn value(&mut self, key: &str) -> Option<Value<'a>> {
        self.values(key).into_iter().next()
    }

    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        shape: KeyShape,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        self.note(key, || shape, false);
        let value = self.value(key)?;
        let fitting = read(&value);
        if fitting.is_none() {
            value.report_misfit(key, expected);
        }
        fitting
    }
}

fn former_name(key: &str, former: &str, has_both: bool) -> Fault {
    let fault = if has_both {
        Fault::error(format!(
            "`{former}` is the former name of `{key}`: only one of them may be given"
        ))
    } else {
        Fault::warning(format!("`{former}` is now called `{key}`"))
    };
    fault.help(format!(
        "write {key} instead of {former}: the next release does not read the former name"
    ))
}

/// Those that can be made a type; the others have their faults.
fn parsed<'a, T>(
    texts: &[TomlText<'a>],
    read: impl Fn(&'a str) -> Result<T, &'static str>,
) -> Vec<T> {
    let texts = texts.iter();
    texts.filter_map(|text| text.parse_as(&read)).collect()
}

/// All or nothing, but every item that is no string has its own fault.
fn texts_of<'a>(items: &[Value<'a>], key: &str) -> Option<Vec<TomlText<'a>>> {
    for item in items.iter().filter(|item| !item.is_text()) {
        item.report_misfit(key, "a string");
    }
    items.iter().map(Value::text).collect()
}

fn texts_or_tables_of<'a>(
    items: &[Value<'a>],
    key: &str,
    path: &str,
) -> Option<Vec<TextOrTable<'a>>> {
    let read = items.iter().enumerate().map(|(at, item)| {
        let text = item.text().map(TextOrTable::Text);
        let path = format!("{path}[{at}]");
        let table = || Some(TomlTable::new(item.layer()?, Vec::new(), path));
        let either = text.or_else(|| table().map(TextOrTable::Table));
        if either.is_none() {
            item.report_misfit(key, "a string or a table");
        }
        either
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

fn layers_of<'a>(values: &[Value<'a>], key: &str) -> Vec<Layer<'a>> {
    for value in values.iter().filter(|value| !value.is_table()) {
        value.report_misfit(key, "a table");
    }
    values.iter().filter_map(Value::layer).collect()
}

fn tables_of<'a>(values: &[Value<'a>], key: &str, path: &str) -> Vec<TomlTable<'a>> {
    let expected = format!("an array of tables, each under [[{key}]]");
    let mut layers = Vec::new();
    for value in values {
        match value.items() {
            Some(items) => layers.extend(layers_of(&items, key)),
            None => value.report_misfit(key, &expected),
        }
    }
    let alone = |(at, layer)| TomlTable::new(layer, Vec::new(), format!("{path}[{at}]"));
    layers.into_iter().enumerate().map(alone).collect()
}
