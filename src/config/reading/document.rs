//! A parsed TOML text: its tables and values before their types are known.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use super::loading::Loading;
use super::text::TomlText;
use crate::config::fault::{Fault, SourceSpot, SourceText};

/// One parsed TOML text: the operator's file or a preset.
pub(crate) struct TomlDocument<'t> {
    source: Arc<SourceText>,
    root: DeTable<'t>,
    broken_lines: Vec<Range<usize>>,
    loading: &'t Loading,
    is_preset: bool,
}

impl<'t> TomlDocument<'t> {
    /// Reports the syntax faults, one a line, for the first brings the others about.
    /// What could be read is read on.
    pub(crate) fn parse(name: &str, text: &'t str, loading: &'t Loading) -> Self {
        let source = SourceText::new(name, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut broken_lines = Vec::new();
        for error in &errors {
            let spot = spot_of(error, &source);
            if !broken_lines.contains(&spot.lines()) {
                broken_lines.push(spot.lines());
                loading.report(syntax_fault(error).at(&spot));
            }
        }
        Self {
            source,
            root: root.into_inner(),
            broken_lines,
            loading,
            is_preset: false,
        }
    }

    /// The text of a preset, which nothing of the operator's is in.
    pub(crate) fn parse_preset(name: &str, text: &'t str, loading: &'t Loading) -> Self {
        let is_preset = true;
        Self {
            is_preset,
            ..Self::parse(name, text, loading)
        }
    }

    /// Whether it is a preset, and not the operator's.
    pub(super) fn is_preset(&self) -> bool {
        self.is_preset
    }

    /// The configuration that it is a part of.
    pub(super) fn loading(&self) -> &'t Loading {
        self.loading
    }

    /// Whether a syntax fault may have hidden a key.
    pub(super) fn is_damaged(&self) -> bool {
        !self.broken_lines.is_empty()
    }

    /// Guesses on a line with a syntax fault would only add noise.
    fn is_broken(&self, span: &Range<usize>) -> bool {
        let meets = |line: &Range<usize>| line.start <= span.end && span.start <= line.end;
        self.broken_lines.iter().any(meets)
    }

    /// All of it as one table.
    pub(super) fn layer(&self) -> Layer<'_> {
        Layer {
            document: self,
            table: &self.root,
            header: None,
        }
    }
}

fn spot_of(error: &Error, source: &Arc<SourceText>) -> SourceSpot {
    match error.span() {
        Some(span) => SourceSpot::within(source, &span),
        None => SourceSpot::whole(source),
    }
}

fn syntax_fault(error: &Error) -> Fault {
    match error.message().split_once(", expected ") {
        Some((message, expected)) => Fault::error(message).label(format!("expected {expected}")),
        None => Fault::error(error.message()),
    }
}

/// One document's part of a table.
#[derive(Clone)]
pub(super) struct Layer<'a> {
    document: &'a TomlDocument<'a>,
    table: &'a DeTable<'a>,
    header: Option<Range<usize>>,
}

impl<'a> Layer<'a> {
    /// The document that it is a part of.
    pub(super) fn document(&self) -> &'a TomlDocument<'a> {
        self.document
    }

    /// Whether this key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Every key that is written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        let table: &'a DeTable<'a> = self.table;
        table.keys().map(|key| key.get_ref().as_ref())
    }

    /// What is written under a key, unless the line has a syntax fault.
    pub(super) fn value(&self, key: &str) -> Option<Value<'a>> {
        let written = self.table.get(key)?;
        let value = Value {
            document: self.document,
            written: written.get_ref(),
            span: written.span(),
        };
        let is_broken = value.document.is_broken(&value.span);
        (!is_broken).then_some(value)
    }

    /// Its header, or its braces.
    pub(super) fn spot(&self) -> SourceSpot {
        match &self.header {
            Some(header) => SourceSpot::within(&self.document.source, header),
            None => SourceSpot::whole(&self.document.source),
        }
    }

    /// Reports every key that is neither one of these nor a former name.
    pub(super) fn report_unknown(&self, known: &[String], former: &[&str]) {
        let is_known = |key: &str| known.iter().any(|known| known == key) || former.contains(&key);
        for key in self.table.keys() {
            if !is_known(key.get_ref()) && !self.document.is_broken(&key.span()) {
                let spot = SourceSpot::within(&self.document.source, &key.span());
                let fault = unknown_key(key.get_ref(), known).at(&spot);
                self.document.loading.report(fault);
            }
        }
    }
}

fn unknown_key(key: &str, known: &[String]) -> Fault {
    Fault::error(format!("unknown key `{}`", key.escape_debug()))
        .suggest(key, known.iter().map(String::as_str))
}

/// The arrays of tables that several documents may add to.
const JOINED: [&str; 3] = ["shop", "upstream", "certificate"];

/// Reports every key that two documents of the operator have. Tables are compared key by key.
pub(crate) fn report_conflicts(documents: &[&TomlDocument<'_>]) {
    for (at, later) in documents.iter().enumerate() {
        for earlier in &documents[..at] {
            let joined = |key: &str| JOINED.contains(&key);
            report_both((earlier, &earlier.root), (later, &later.root), &joined);
        }
    }
}

/// A table, and the document that it is a part of.
type TableIn<'a> = (&'a TomlDocument<'a>, &'a DeTable<'a>);

fn report_both(earlier: TableIn<'_>, later: TableIn<'_>, is_joined: &dyn Fn(&str) -> bool) {
    for (key, written) in later.1 {
        let name: &str = key.get_ref();
        let Some((_, known)) = earlier.1.get_key_value(name).filter(|_| !is_joined(name)) else {
            continue;
        };
        if let (Some(one), Some(two)) = (known.get_ref().as_table(), written.get_ref().as_table()) {
            report_both((earlier.0, one), (later.0, two), &|_| false);
            continue;
        }
        let first = SourceSpot::within(&earlier.0.source, &known.span());
        let spot = SourceSpot::within(&later.0.source, &key.span());
        let message = format!("`{}` is written in two files", name.escape_debug());
        let label = format!("it is also {}", first.place_beside(&spot));
        let fault = Fault::error(message).at(&spot).label(label);
        later
            .0
            .loading
            .report(fault.help("write it in one of them"));
    }
}

fn toml_of(written: &DeValue<'_>) -> toml::Value {
    if let Some(text) = written.as_str() {
        return toml::Value::String(text.to_owned());
    }
    if let Some(is_true) = written.as_bool() {
        return toml::Value::Boolean(is_true);
    }
    if let Some(items) = written.as_array() {
        return toml::Value::Array(items.iter().map(|item| toml_of(item.get_ref())).collect());
    }
    if let Some(table) = written.as_table() {
        let entries = table.iter();
        let entries =
            entries.map(|(key, value)| (key.get_ref().to_string(), toml_of(value.get_ref())));
        return toml::Value::Table(entries.collect());
    }
    let number = written.as_integer();
    let number = number.and_then(|one| i64::from_str_radix(one.as_str(), one.radix()).ok());
    number.map_or_else(
        || toml::Value::String(written.type_str().to_owned()), // no key takes a float or a date
        toml::Value::Integer,
    )
}

/// A value before its type is known.
#[derive(Clone)]
pub(super) struct Value<'a> {
    document: &'a TomlDocument<'a>,
    written: &'a DeValue<'a>,
    span: Range<usize>,
}

impl<'a> Value<'a> {
    /// Where it is written.
    pub(super) fn spot(&self) -> SourceSpot {
        SourceSpot::within(&self.document.source, &self.span)
    }

    pub(super) fn is_text(&self) -> bool {
        self.written.is_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.written.is_table()
    }

    pub(super) fn text(&self) -> Option<TomlText<'a>> {
        let value = self.written.as_str()?;
        Some(TomlText::new(value, self.spot(), self.document.loading))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.written.as_bool()
    }

    pub(super) fn items(&self) -> Option<Vec<Self>> {
        let document = self.document;
        let items = self.written.as_array()?.iter().map(|item| Self {
            document,
            written: item.get_ref(),
            span: item.span(),
        });
        Some(items.collect())
    }

    pub(super) fn item_or_items(&self) -> Option<Vec<Self>> {
        if self.is_text() {
            Some(vec![self.clone()])
        } else {
            self.items()
        }
    }

    pub(super) fn layer(&self) -> Option<Layer<'a>> {
        Some(Layer {
            document: self.document,
            table: self.written.as_table()?,
            header: Some(self.span.clone()),
        })
    }

    pub(super) fn integer<T: TryFrom<i64>>(&self) -> Option<T> {
        let written = self.written.as_integer()?;
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok()?;
        T::try_from(number).ok()
    }

    pub(super) fn scalar(&self) -> Option<serde_json::Value> {
        let number = || self.integer::<i64>().map(serde_json::Value::from);
        let boolean = || self.boolean().map(serde_json::Value::from);
        let text = self.text().map(|text| text.as_str().into());
        text.or_else(boolean).or_else(number)
    }

    /// What is written.
    pub(super) fn to_toml(&self) -> toml::Value {
        toml_of(self.written)
    }

    /// Reports that it has another type than `key` needs.
    pub(super) fn report_misfit(&self, key: &str, expected: &str) {
        let found = self.written.type_str();
        self.report(
            Fault::error(format!("wrong type for `{key}`"))
                .label(format!("expected {expected}, found {found}")),
        );
    }

    /// Reports that it is no number within the bounds of `key`.
    pub(super) fn report_out_of_range(&self, key: &str, expected: &str) {
        if self.written.is_integer() {
            let fault = Fault::error(format!("`{key}` is out of range"));
            self.report(fault.label(format!("expected {expected}")));
        } else {
            self.report_misfit(key, expected);
        }
    }

    fn report(&self, fault: Fault) {
        self.document.loading.report(fault.at(&self.spot()));
    }
}
