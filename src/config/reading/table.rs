//! Typed reading of TOML tables, for finding every fault of a file at once.

use crate::config::fault::{Fault, Faults, Source, Spot};
use crate::config::reading::duration;
use std::fmt::Display;
use std::iter;
use std::ops::{Range, RangeInclusive};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;
use toml::de::{DeTable, DeValue, Error};

/// One parsed TOML text: the operator's file or a preset.
pub(crate) struct Document<'t> {
    source: Arc<Source>,
    root: DeTable<'t>,
    broken_lines: Vec<Range<usize>>,
}

impl<'t> Document<'t> {
    /// Reports the syntax faults, one a line, for the first brings the others about.
    /// What could be read is read on.
    pub(crate) fn parse(name: &str, text: &'t str, faults: &mut Faults) -> Self {
        let source = Source::new(name, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut broken_lines = Vec::new();
        for error in &errors {
            let spot = spot_of(error, &source);
            if !broken_lines.contains(&spot.lines()) {
                broken_lines.push(spot.lines());
                faults.push(syntax_fault(error).at(&spot));
            }
        }
        Self {
            source,
            root: root.into_inner(),
            broken_lines,
        }
    }

    /// Guesses on a line with a syntax fault would only add noise.
    fn is_broken(&self, span: &Range<usize>) -> bool {
        let meets = |line: &Range<usize>| line.start <= span.end && span.start <= line.end;
        self.broken_lines.iter().any(meets)
    }

    fn layer(&self) -> Layer<'_> {
        Layer {
            document: self,
            table: &self.root,
            header: None,
        }
    }
}

fn spot_of(error: &Error, source: &Arc<Source>) -> Spot {
    match error.span() {
        Some(span) => Spot::within(source, &span),
        None => Spot::whole(source),
    }
}

fn syntax_fault(error: &Error) -> Fault {
    match error.message().split_once(", expected ") {
        Some((message, expected)) => Fault::error(message).label(format!("expected {expected}")),
        None => Fault::error(error.message()),
    }
}

/// One document's part of a table.
struct Layer<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
    header: Option<Range<usize>>,
}

impl<'a> Layer<'a> {
    fn value(&self, key: &str) -> Option<Value<'a>> {
        let written = self.table.get(key)?;
        let value = Value {
            document: self.document,
            written: written.get_ref(),
            span: written.span(),
        };
        let is_broken = value.document.is_broken(&value.span);
        (!is_broken).then_some(value)
    }

    fn spot(&self) -> Spot {
        match &self.header {
            Some(header) => Spot::within(&self.document.source, header),
            None => Spot::whole(&self.document.source),
        }
    }

    fn report_unknown(&self, known: &[String], faults: &mut Faults) {
        let is_known = |key: &str| known.iter().any(|known| known == key);
        for key in self.table.keys() {
            if !is_known(key.get_ref()) && !self.document.is_broken(&key.span()) {
                let spot = Spot::within(&self.document.source, &key.span());
                faults.push(unknown_key(key.get_ref(), known).at(&spot));
            }
        }
    }
}

fn unknown_key(key: &str, known: &[String]) -> Fault {
    Fault::error(format!("unknown key `{}`", key.escape_debug()))
        .suggest(key, known.iter().map(String::as_str))
}

/// A value before its type is known.
#[derive(Clone)]
struct Value<'a> {
    document: &'a Document<'a>,
    written: &'a DeValue<'a>,
    span: Range<usize>,
}

impl<'a> Value<'a> {
    fn spot(&self) -> Spot {
        Spot::within(&self.document.source, &self.span)
    }

    fn text(&self) -> Option<Text<'a>> {
        let value = self.written.as_str()?;
        let spot = self.spot();
        Some(Text { value, spot })
    }

    fn items(&self) -> Option<Vec<Self>> {
        let document = self.document;
        let items = self.written.as_array()?.iter().map(|item| Self {
            document,
            written: item.get_ref(),
            span: item.span(),
        });
        Some(items.collect())
    }

    fn item_or_items(&self) -> Option<Vec<Self>> {
        if self.written.is_str() {
            Some(vec![self.clone()])
        } else {
            self.items()
        }
    }

    fn layer(&self) -> Option<Layer<'a>> {
        Some(Layer {
            document: self.document,
            table: self.written.as_table()?,
            header: Some(self.span.clone()),
        })
    }

    fn integer<T: TryFrom<i64>>(&self) -> Option<T> {
        let written = self.written.as_integer()?;
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok()?;
        T::try_from(number).ok()
    }

    fn scalar(&self) -> Option<serde_json::Value> {
        let number = || self.integer::<i64>().map(serde_json::Value::from);
        let boolean = || self.written.as_bool().map(serde_json::Value::from);
        let text = self.text().map(|text| text.as_str().into());
        text.or_else(boolean).or_else(number)
    }

    fn misfit(&self, key: &str, expected: &str) -> Fault {
        let found = self.written.type_str();
        Fault::error(format!("wrong type for `{key}`"))
            .at(&self.spot())
            .label(format!("expected {expected}, found {found}"))
    }
}

/// A string of a document, with the place it is written at.
#[derive(Clone)]
pub(crate) struct Text<'a> {
    value: &'a str,
    spot: Spot,
}

impl<'a> Text<'a> {
    /// What is written.
    pub(crate) fn as_str(&self) -> &'a str {
        self.value
    }

    /// Where it is written.
    pub(crate) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Makes the text a type; the reason it cannot be one becomes a fault here.
    pub(crate) fn parse<T, E: Display>(
        &self,
        read: impl FnOnce(&'a str) -> Result<T, E>,
        faults: &mut Faults,
    ) -> Option<T> {
        read(self.value)
            .map_err(|reason| faults.push(self.unfit(&reason)))
            .ok()
    }

    /// The same, where the reason only says what is wanted.
    pub(crate) fn parse_as<T>(
        &self,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
        faults: &mut Faults,
    ) -> Option<T> {
        let found = self.value.escape_debug();
        let told = |wanted| format!("expected {wanted}, found `{found}`");
        self.parse(|text| read(text).map_err(told), faults)
    }

    /// What the name stands for; `key` says of what it is one.
    pub(crate) fn choose<T: Copy>(
        &self,
        key: &str,
        names: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let chosen = names.iter().find(|(name, _)| *name == self.value);
        if chosen.is_none() {
            let unknown = format!("unknown `{key}`: `{}`", self.value.escape_debug());
            let known = names.iter().map(|(name, _)| *name);
            faults.push(self.unfit(&unknown).suggest(self.value, known));
        }
        chosen.map(|(_, value)| *value)
    }

    /// The reason may quote the value, so a secret's reason stays untold.
    fn unfit(&self, reason: &dyn Display) -> Fault {
        let message = if self.spot.is_secret() {
            "this secret does not fit".to_owned()
        } else {
            reason.to_string()
        };
        Fault::error(message).at(&self.spot)
    }
}

/// A table of the operator's file, laid over the same table of a preset.
///
/// Every key the operator wrote overrides; sub-tables merge key by key;
/// arrays of tables are concatenated, the operator's first.
/// Asking for a key makes it known; [`Table::finish`] reports the keys nobody asked for.
#[must_use = "its unknown keys are only reported by `finish`"]
pub(crate) struct Table<'a> {
    top: Layer<'a>,
    below: Vec<Layer<'a>>,
    asked: Vec<String>,
    home: Option<Home>,
}

/// Where the operator would write a table that only the preset has: under this one, along this path.
struct Home {
    spot: Spot,
    path: String,
}

/// A value that is a string or a table.
pub(crate) enum TextOrTable<'a> {
    /// A string.
    Text(Text<'a>),
    /// A table.
    Table(Table<'a>),
}

impl<'a> Table<'a> {
    /// The whole of a document.
    pub(crate) fn root(document: &'a Document<'a>) -> Self {
        Self::of(document.layer(), Vec::new())
    }

    /// Lays this table over the root of a preset.
    pub(crate) fn over(mut self, preset: Option<&'a Document<'a>>) -> Self {
        self.below.extend(preset.map(Document::layer));
        self
    }

    fn of(top: Layer<'a>, below: Vec<Layer<'a>>) -> Self {
        Self {
            top,
            below,
            asked: Vec::new(),
            home: None,
        }
    }

    /// The first one that has a key wins.
    fn layers(&self) -> impl Iterator<Item = &Layer<'a>> {
        iter::once(&self.top).chain(&self.below)
    }

    /// A string.
    pub(crate) fn string(&mut self, key: &str, faults: &mut Faults) -> Option<Text<'a>> {
        self.read(key, "a string", faults, Value::text)
    }

    /// An array of strings.
    pub(crate) fn strings(&mut self, key: &str, faults: &mut Faults) -> Option<Vec<Text<'a>>> {
        let items = self.read(key, "an array of strings", faults, Value::items)?;
        texts_of(&items, key, faults)
    }

    /// A string standing for an array of one, or an array of strings.
    pub(crate) fn string_or_strings(
        &mut self,
        key: &str,
        faults: &mut Faults,
    ) -> Option<Vec<Text<'a>>> {
        let expected = "a string or an array of strings";
        let items = self.read(key, expected, faults, Value::item_or_items)?;
        texts_of(&items, key, faults)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &str, faults: &mut Faults) -> Option<bool> {
        self.read(key, "a boolean", faults, |value| value.written.as_bool())
    }

    /// A string, a boolean or a whole number, for what is compared with JSON.
    pub(crate) fn scalar(&mut self, key: &str, faults: &mut Faults) -> Option<serde_json::Value> {
        let expected = "a string, a boolean or an integer";
        self.read(key, expected, faults, Value::scalar)
    }

    /// The same, one or an array of them, each with its place.
    pub(crate) fn scalars(
        &mut self,
        key: &str,
        faults: &mut Faults,
    ) -> Option<Vec<(serde_json::Value, Spot)>> {
        let value = self.value(key)?;
        let items = value.items().unwrap_or_else(|| vec![value]);
        let scalars = items.iter().filter_map(|item| {
            let scalar = item.scalar();
            if scalar.is_none() {
                faults.push(item.misfit(key, "a string, a boolean or an integer"));
            }
            Some((scalar?, item.spot()))
        });
        Some(scalars.collect())
    }

    /// Whether a table is written under a key that may be something else.
    pub(crate) fn has_table(&self, key: &str) -> bool {
        let value = self.layers().find_map(|layer| layer.value(key));
        value.is_some_and(|value| value.written.is_table())
    }

    /// A whole number within the range.
    pub(crate) fn integer<T>(
        &mut self,
        key: &str,
        range: RangeInclusive<T>,
        faults: &mut Faults,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.value(key)?;
        let number = value.integer().filter(|number| range.contains(number));
        if number.is_none() {
            faults.push(out_of_range(&value, key, &range));
        }
        number
    }

    /// A duration such as `90s`.
    pub(crate) fn duration(&mut self, key: &str, faults: &mut Faults) -> Option<Duration> {
        self.string(key, faults)?.parse(duration::parse, faults)
    }

    /// One of these names, as the value it stands for.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &str,
        names: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        self.string(key, faults)?.choose(key, names, faults)
    }

    /// A sub-table, merged from every layer that has it.
    pub(crate) fn table(&mut self, key: &str, faults: &mut Faults) -> Option<Table<'a>> {
        let values = self.values(key);
        self.table_of(&values, key, faults)
    }

    /// A string, or a sub-table; below the operator's only what is of the same type counts.
    pub(crate) fn string_or_table(
        &mut self,
        key: &str,
        faults: &mut Faults,
    ) -> Option<TextOrTable<'a>> {
        let mut values = self.values(key);
        if let Some(text) = values.first()?.text() {
            return Some(TextOrTable::Text(text));
        }
        values.retain(|value| !value.written.is_str());
        self.table_of(&values, key, faults).map(TextOrTable::Table)
    }

    /// A sub-table, or each table of an array in its place: every one of the operator's laid over the one below.
    pub(crate) fn table_or_tables(&mut self, key: &str, faults: &mut Faults) -> Vec<Table<'a>> {
        let values = self.values(key);
        let Some((items, below)) = values.split_first().and_then(|(first, below)| {
            let items = first.items().filter(|items| !items.is_empty())?;
            Some((items, below))
        }) else {
            return self.table_of(&values, key, faults).into_iter().collect();
        };
        let tops = layers_of(&items, key, "a table", faults).into_iter();
        let below = |faults: &mut Faults| layers_of(below, key, "a table", faults);
        tops.map(|top| Table::of(top, below(faults))).collect()
    }

    /// A string, and the tables of an array: layers may differ in which of the two they have.
    pub(crate) fn text_and_tables(
        &mut self,
        key: &str,
        faults: &mut Faults,
    ) -> (Option<Text<'a>>, Vec<Table<'a>>) {
        let values = self.values(key);
        let text = values.iter().find_map(Value::text);
        let expected = format!("a string, or an array of tables, each under [[{key}]]");
        let mut layers = Vec::new();
        for value in values.iter().filter(|value| !value.written.is_str()) {
            match value.items() {
                Some(items) => layers.extend(layers_of(&items, key, "a table", faults)),
                None => faults.push(value.misfit(key, &expected)),
            }
        }
        let alone = |layer| Table::of(layer, Vec::new());
        (text, layers.into_iter().map(alone).collect())
    }

    fn table_of(&self, values: &[Value<'a>], key: &str, faults: &mut Faults) -> Option<Table<'a>> {
        let mut layers = layers_of(values, key, "a table", faults).into_iter();
        let top = layers.next()?;
        let home = (!self.is_beside(&top)).then(|| self.home_of(key));
        let mut table = Table::of(top, layers.collect());
        table.home = home;
        Some(table)
    }

    fn is_beside(&self, layer: &Layer<'a>) -> bool {
        ptr::eq(self.top.document, layer.document)
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

    /// Whether the two are written in the same document.
    pub(crate) fn is_written_with(&self, other: &Self) -> bool {
        self.is_beside(&other.top)
    }

    /// Every key that is written, for tables whose keys are the operator's own names.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<&str> = Vec::new();
        for layer in self.layers() {
            let more = layer.table.keys().map(|key| key.get_ref().as_ref());
            keys.extend(more);
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The tables of an array: the operator's, then the preset's.
    pub(crate) fn tables(&mut self, key: &str, faults: &mut Faults) -> Vec<Table<'a>> {
        let expected = format!("an array of tables, each under [[{key}]]");
        let mut layers = Vec::new();
        for value in self.values(key) {
            match value.items() {
                Some(items) => layers.extend(layers_of(&items, key, "a table", faults)),
                None => faults.push(value.misfit(key, &expected)),
            }
        }
        let alone = |layer| Table::of(layer, Vec::new());
        layers.into_iter().map(alone).collect()
    }

    /// Reports a required key that no layer has.
    ///
    /// May be called whenever a getter returned nothing: what is written but does not fit
    /// has had its fault already, and a file with syntax faults may have lost the key to them.
    pub(crate) fn missing(&self, key: &str, expected: &str, faults: &mut Faults) {
        if self.lacks(key) {
            let (spot, path) = match &self.home {
                Some(home) => (home.spot.clone(), home.path.as_str()),
                None => (self.spot(), ""),
            };
            let fault = Fault::error(format!("missing key `{path}{key}`")).at(&spot);
            faults.push(fault.label(format!("expected {expected}")));
        }
    }

    /// Whether a key is surely left out: a file with syntax faults may have lost it to them.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        !self
            .layers()
            .any(|layer| layer.table.contains_key(key) || !layer.document.broken_lines.is_empty())
    }

    /// Where the table is written: its header, or its braces.
    pub(crate) fn spot(&self) -> Spot {
        self.top.spot()
    }

    /// Where a key's value is written.
    pub(crate) fn spot_of(&self, key: &str) -> Option<Spot> {
        let value = self.layers().find_map(|layer| layer.value(key))?;
        Some(value.spot())
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for layer in self.layers() {
            layer.report_unknown(&self.asked, faults);
        }
    }

    fn values(&mut self, key: &str) -> Vec<Value<'a>> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        let values = self.layers().filter_map(|layer| layer.value(key));
        values.collect()
    }

    fn value(&mut self, key: &str) -> Option<Value<'a>> {
        self.values(key).into_iter().next()
    }

    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        faults: &mut Faults,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let fitting = read(&value);
        if fitting.is_none() {
            faults.push(value.misfit(key, expected));
        }
        fitting
    }
}

/// All or nothing, but every item that is no string has its own fault.
fn texts_of<'a>(items: &[Value<'a>], key: &str, faults: &mut Faults) -> Option<Vec<Text<'a>>> {
    for item in items.iter().filter(|item| !item.written.is_str()) {
        faults.push(item.misfit(key, "a string"));
    }
    items.iter().map(Value::text).collect()
}

fn layers_of<'a>(
    values: &[Value<'a>],
    key: &str,
    expected: &str,
    faults: &mut Faults,
) -> Vec<Layer<'a>> {
    for value in values.iter().filter(|value| !value.written.is_table()) {
        faults.push(value.misfit(key, expected));
    }
    values.iter().filter_map(Value::layer).collect()
}

fn out_of_range<T: Display>(value: &Value<'_>, key: &str, range: &RangeInclusive<T>) -> Fault {
    let (least, most) = (range.start(), range.end());
    let expected = format!("an integer from {least} to {most}");
    if value.written.is_integer() {
        Fault::error(format!("`{key}` is out of range"))
            .at(&value.spot())
            .label(format!("expected {expected}"))
    } else {
        value.misfit(key, &expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    const ENFORCE: &[(&str, u8)] = &[("off", 0), ("revoked", 1), ("valid", 2), ("required", 3)];

    const PRESET: &str = r#"
status = 401
hosts = ["preset.example.com"]
[token]
claims = { id = "/jti", subject = "/sub" }
[[route]]
paths = "/preset/*"
"#;

    const SHOP: &str = r#"
name = "main"
hosts = ["a.example.com", "b.example.com"]
keep = "90s"
[token]
secret_file = "/keys/jwt.secret"
claims.subject = "/customer"
[[route]]
paths = ["/operator/*", "/own"]
enforce = "required"
"#;

    /// What a reader of shops would make of a file: each key once, in its own words.
    fn read_shop(mut shop: Table<'_>, faults: &mut Faults) -> Vec<String> {
        let mut told = Vec::new();
        let name = shop.string("name", faults);
        shop.missing("name", "what logs call the shop", faults);
        told.extend(name.map(|name| name.as_str().to_owned()));
        let hosts = shop.strings("hosts", faults).unwrap_or_default();
        told.extend(hosts.iter().map(|host| host.as_str().to_owned()));
        let status = shop.integer("status", 100..=599u16, faults);
        told.extend(status.map(|status| status.to_string()));
        let keep = shop.duration("keep", faults);
        told.extend(keep.map(|keep| format!("{keep:?}")));
        shop.boolean("revoke_all", faults);
        if let Some(token) = shop.table("token", faults) {
            told.extend(read_token(token, faults));
        }
        for route in shop.tables("route", faults) {
            told.push(read_route(route, faults));
        }
        shop.finish(faults);
        told
    }

    fn read_token(mut token: Table<'_>, faults: &mut Faults) -> Vec<String> {
        let secret_file = token.string("secret_file", faults);
        token.missing("secret_file", "the path of a key", faults);
        let mut told: Vec<String> = Vec::new();
        told.extend(secret_file.map(|path| path.as_str().to_owned()));
        if let Some(mut claims) = token.table("claims", faults) {
            let names = ["id", "subject"].map(|key| claims.string(key, faults));
            told.extend(
                names
                    .into_iter()
                    .flatten()
                    .map(|name| name.as_str().to_owned()),
            );
            claims.finish(faults);
        }
        token.finish(faults);
        told
    }

    fn read_route(mut route: Table<'_>, faults: &mut Faults) -> String {
        let paths = route.string_or_strings("paths", faults).unwrap_or_default();
        let enforce = route.choice("enforce", ENFORCE, faults);
        route.finish(faults);
        let paths: Vec<&str> = paths.iter().map(Text::as_str).collect();
        format!("{} {enforce:?}", paths.join(" "))
    }

    fn read(shop: &str, preset: Option<&str>) -> (Vec<String>, Faults) {
        let mut faults = Faults::default();
        let shop = Document::parse("doorward.toml", shop, &mut faults);
        let preset = preset.map(|text| Document::parse("preset bagisto", text, &mut faults));
        let told = read_shop(Table::root(&shop).over(preset.as_ref()), &mut faults);
        (told, faults)
    }

    fn report(shop: &str) -> String {
        read(shop, None).1.to_string()
    }

    #[test]
    fn the_operator_overrides_the_preset_key_by_key() {
        let (told, faults) = read(SHOP, Some(PRESET));
        let expected = [
            "main",
            "a.example.com",
            "b.example.com",
            "401",
            "90s",
            "/keys/jwt.secret",
            "/jti",
            "/customer",
            "/operator/* /own Some(3)",
            "/preset/* None",
        ];
        assert_eq!(told, expected);
        assert_eq!(faults.to_string(), "");
    }

    #[test]
    fn a_table_may_stand_in_the_preset_alone() {
        let preset = "[token]\nsecret_file = \"/a\"\n[[route]]\npaths = \"/b\"";
        let (told, faults) = read("name = \"main\"", Some(preset));
        assert_eq!(told, ["main", "/a", "/b None"]);
        assert!(faults.is_empty());
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let text = r#"
nam = "main"
hosts = "shop.example.com"
status = 70
keep = "soon"
[token]
claims = { id = 7, sub = "/sub" }
[[route]]
paths = ["/a", 1]
enforce = "requird"
"#;
        let expected = r#"error: missing key `name`
--> doorward.toml
 = note: expected what logs call the shop

error: unknown key `nam`
 --> doorward.toml:2:1
  |
2 | nam = "main"
  | ^^^
  |
  = help: did you mean `name`? known: name, hosts, status, keep, revoke_all, token, route

error: wrong type for `hosts`
 --> doorward.toml:3:9
  |
3 | hosts = "shop.example.com"
  |         ^^^^^^^^^^^^^^^^^^ expected an array of strings, found string

error: `status` is out of range
 --> doorward.toml:4:10
  |
4 | status = 70
  |          ^^ expected an integer from 100 to 599

error: expected a duration such as 250ms, 90s, 10m, 1h or 7d, found `soon`
 --> doorward.toml:5:8
  |
5 | keep = "soon"
  |        ^^^^^^

error: missing key `secret_file`
 --> doorward.toml:6:1
  |
6 | [token]
  | ^^^^^^^ expected the path of a key

error: wrong type for `id`
 --> doorward.toml:7:17
  |
7 | claims = { id = 7, sub = "/sub" }
  |                 ^ expected a string, found integer

error: unknown key `sub`
 --> doorward.toml:7:20
  |
7 | claims = { id = 7, sub = "/sub" }
  |                    ^^^
  |
  = help: did you mean `subject`? known: id, subject

error: wrong type for `paths`
 --> doorward.toml:9:16
  |
9 | paths = ["/a", 1]
  |                ^ expected a string, found integer

error: unknown `enforce`: `requird`
  --> doorward.toml:10:11
   |
10 | enforce = "requird"
   |           ^^^^^^^^^
   |
   = help: did you mean `required`? known: off, revoked, valid, required
"#;
        assert_eq!(report(text), expected);
    }

    #[test]
    fn syntax_faults_are_all_reported_and_hide_what_they_may_have_caused() {
        let text = r"
nam = main
hosts = [1
]
status 200
[token
";
        let expected = r"error: string values must be quoted
 --> doorward.toml:2:7
  |
2 | nam = main
  |       ^^^^ expected literal string

error: wrong type for `hosts`
 --> doorward.toml:3:10
  |
3 | hosts = [1
  |          ^ expected a string, found integer

error: key with no value
 --> doorward.toml:5:8
  |
5 | status 200
  |        ^ expected `=`

error: unclosed table
 --> doorward.toml:6:7
  |
6 | [token
  |       ^ expected `]`
";
        assert_eq!(report(text), expected);
    }

    #[test]
    fn a_preset_is_checked_like_a_file() {
        let (_, faults) = read(SHOP, Some("stauts = 200"));
        let expected = "\
error: unknown key `stauts`
 --> preset bagisto:1:1
  |
1 | stauts = 200
  | ^^^^^^
  |
  = help: did you mean `status`? known: name, hosts, status, keep, revoke_all, token, route
";
        assert_eq!(faults.to_string(), expected);
    }

    #[test]
    fn tables_and_values_are_not_taken_for_one_another() {
        let text = "name = { first = 1 }\ntoken = 1\nroute = [\"a\"]";
        let faults = read(text, None).1;
        assert_eq!(faults.errors(), 3, "{faults}");
        let faults = read("name = \"main\"\n[route]", None).1.to_string();
        assert!(faults.contains("expected an array of tables, each under [[route]], found table"));
    }

    #[test]
    fn an_inline_secret_is_not_shown() {
        let expected = "\
error: unknown key `secret`
--> doorward.toml:4:1
 = help: did you mean `secret_file`? known: secret_file, claims
";
        let text = "name = \"main\"\n[token]\nsecret_file = \"a\"\nsecret = \"hunter2\"";
        assert_eq!(report(text), expected);
    }

    #[test]
    fn a_secret_that_does_not_fit_is_not_quoted() {
        let mut faults = Faults::default();
        let text = "secret = \"hunter2\"";
        let document = Document::parse("doorward.toml", text, &mut faults);
        let mut root = Table::root(&document);
        assert_eq!(root.choice("secret", ENFORCE, &mut faults), None);
        assert_eq!(root.duration("secret", &mut faults), None);
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }

    #[test]
    fn a_text_keeps_its_place_for_later_faults() {
        let mut faults = Faults::default();
        let document = Document::parse("doorward.toml", SHOP, &mut faults);
        let mut root = Table::root(&document);
        let name = root.string("name", &mut faults).unwrap();
        assert_eq!(name.spot().line(), Some(2));
        assert_eq!(name.spot().source_name(), "doorward.toml");
        assert_eq!(root.spot_of("name").as_ref(), Some(name.spot()));
    }

    /// The same numbers for the same seed, so that a failure can be run again.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % 1_000_003).unwrap() % sides
        }
    }

    const CRUMBS: [&str; 18] = [
        "\"", "'", "\"\"\"", "=", "[", "]", "[[", "]]", "{", "}", ",", ".", "\n", "\r", "#", "é",
        "\u{1b}", "a.b",
    ];

    fn mangle(text: &str, dice: &mut Dice) -> String {
        let mut chars: Vec<String> = text.chars().map(String::from).collect();
        for _ in 0..=dice.roll(6) {
            let at = dice.roll(chars.len());
            let crumb = CRUMBS[dice.roll(CRUMBS.len())].to_owned();
            match dice.roll(3) {
                0 => chars.insert(at, crumb),
                1 => chars[at] = crumb,
                _ => drop(chars.drain(at..(at + dice.roll(12)).min(chars.len()))),
            }
        }
        chars.concat()
    }

    #[test]
    fn no_text_makes_the_reader_panic_or_tell_a_secret() {
        const SECRET: &str = "\nsecret = \"hunter2\"\n";
        for seed in 1..500 {
            let mut dice = Dice(seed);
            let shop = mangle(SHOP, &mut dice) + SECRET + &mangle(PRESET, &mut dice);
            let told = catch_unwind(|| read(&shop, Some(PRESET)).1.to_string());
            let told = told.unwrap_or_else(|_| panic!("seed {seed}: {shop}"));
            assert!(!told.contains("hunter2"), "seed {seed}: {told}");
        }
    }
}
