//! Where a fault is written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Origin, Snippet};

use super::redaction;

/// A text that faults point into: the operator's file or a compiled-in preset.
pub struct SourceText {
    name: String,
    text: String,
}

impl SourceText {
    /// `name` is what reports call it: a path, or `preset bagisto`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let (name, text) = (name.into(), text.into());
        Arc::new(Self { name, text })
    }

    /// Widens a span to whole lines, without the last line's end.
    fn lines_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        // A span that swallowed its line's end still belongs to that line.
        let last = span.start.max(span.end.saturating_sub(1));
        let last = self.text.floor_char_boundary(last);
        let end = self.text[last..].find('\n');
        start..end.map_or(self.text.len(), |at| last + at)
    }

    fn line_number(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// Every span in a report must cut the text between characters.
    fn fitting(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end);
        start..end.max(start)
    }
}

/// Shows the name only: the text may hold secrets.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// A place in a source, kept where a fault may have to be raised later.
#[derive(Clone, Debug)]
pub struct SourceSpot {
    source: Arc<SourceText>,
    span: Option<Range<usize>>,
}

impl SourceSpot {
    /// These bytes of the source.
    pub fn within(source: &Arc<SourceText>, span: &Range<usize>) -> Self {
        let span = Some(source.fitting(span));
        let source = Arc::clone(source);
        Self { source, span }
    }

    /// The source as a whole.
    pub fn whole(source: &Arc<SourceText>) -> Self {
        let source = Arc::clone(source);
        Self { source, span: None }
    }

    /// What reports call the source.
    pub fn source_name(&self) -> &str {
        &self.source.name
    }

    /// The line it begins on, from 1.
    pub fn line(&self) -> Option<usize> {
        let span = self.span.as_ref()?;
        Some(self.source.line_number(span.start))
    }

    /// The column it begins at, in characters from 1.
    pub fn column(&self) -> Option<usize> {
        let span = self.span.as_ref()?;
        let before = &self.source.text[self.lines().start..span.start];
        Some(before.chars().count() + 1)
    }

    /// Whether it is in a preset, which is no file.
    pub(super) fn is_in_preset(&self) -> bool {
        self.source_name().starts_with("preset ")
    }

    /// Where it is, for a reader who looks at `other`.
    pub fn place_beside(&self, other: &Self) -> String {
        let file = (!self.is_beside(other)).then(|| self.source_name());
        match (self.line(), file) {
            (Some(line), None) => format!("in line {line}"),
            (Some(line), Some(file)) => format!("in line {line} of {file}"),
            (None, Some(file)) => format!("in {file}"),
            (None, None) => "above".to_owned(),
        }
    }

    /// The source and the line, as `doorward.toml:12`.
    pub fn place(&self) -> String {
        match self.line() {
            Some(line) => format!("{}:{line}", self.source_name()),
            None => self.source_name().to_owned(),
        }
    }

    /// Whether a report must not show what is written here.
    pub fn is_secret(&self) -> bool {
        let lines = self.span.as_ref().map(|span| self.source.lines_of(span));
        lines.is_some_and(|lines| redaction::hides(&self.source.text, &lines))
    }

    /// The whole lines it stands on, as bytes of the source.
    pub(in crate::config) fn lines(&self) -> Range<usize> {
        let span = self.span.as_ref();
        span.map_or(0..self.source.text.len(), |span| self.source.lines_of(span))
    }

    pub(super) fn start(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }

    pub(super) fn picture<'f>(&'f self, label: Option<&'f str>) -> Element<'f> {
        match (&self.span, self.shown()) {
            (None, _) => Origin::path(self.source_name()).into(),
            (Some(span), None) => self.address(span).into(),
            (Some(span), Some(shown)) => self.snippet(span, shown, label).into(),
        }
    }

    /// What a report shows: the whole lines, or only the key of an entry whose value may be secret.
    fn shown(&self) -> Option<Range<usize>> {
        let span = self.span.as_ref()?;
        let lines = self.lines();
        if !self.is_secret() {
            return Some(lines);
        }
        let text = &self.source.text[lines.clone()];
        let key = redaction::key_of_entry(text)?;
        let end = lines.start + key.len();
        (!text.contains('\n') && span.end < end).then_some(lines.start..end)
    }

    fn address(&self, span: &Range<usize>) -> Origin<'_> {
        let before = &self.source.text[self.lines().start..span.start];
        Origin::path(self.source_name())
            .line(self.source.line_number(span.start))
            .char_column(before.chars().count() + 1)
    }

    fn snippet<'f>(
        &'f self,
        span: &Range<usize>,
        lines: Range<usize>,
        label: Option<&'f str>,
    ) -> Snippet<'f, annotate_snippets::Annotation<'f>> {
        let span_end = span.end.min(lines.end).max(span.start);
        let span_in_lines = span.start - lines.start..span_end - lines.start;
        Snippet::source(&self.source.text[lines])
            .line_start(self.source.line_number(span.start))
            .path(self.source_name())
            .annotation(AnnotationKind::Primary.span(span_in_lines).label(label))
    }

    /// Whether the report shows where it is, and so has a place for the label.
    pub(super) fn is_shown(&self) -> bool {
        self.shown().is_some()
    }

    /// Whether the other stands in the same source.
    pub(in crate::config) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl PartialEq for SourceSpot {
    fn eq(&self, other: &Self) -> bool {
        self.span == other.span && Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Eq for SourceSpot {}
