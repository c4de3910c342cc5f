//! What is wrong with a configuration, and how to put it right.

use annotate_snippets::{Element, Group, Level, Renderer};
use std::fmt;

use super::spot::SourceSpot;

/// How much alike a written name and a known one must be to be suggested.
/// `secret` still finds `secret_file`; `listen` does not find `limit`.
const LIKENESS_MIN: f64 = 0.8;

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but the operator should look.
    Warning,
    /// It can, but what it names is past its end: `check` refuses it, and a start or a reload goes on without it.
    Outdated,
}

/// A fault, for programs that read it.
#[derive(Clone, Copy, Debug)]
pub struct FaultView<'f> {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: &'f str,
    /// The file that it is written in; `None`: it is written nowhere, or in a preset.
    pub file: Option<&'f str>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What was expected there, or stands there.
    pub label: Option<&'f str>,
    /// How to put it right, line by line.
    pub help: &'f [String],
}

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    severity: Severity,
    spot: Option<SourceSpot>,
    message: String,
    label: Option<String>,
    help: Vec<String>,
}

impl Fault {
    /// A fault that keeps the configuration from being used.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// A fault that lets it be used.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    /// A fault of what is past its end: see [`Severity::Outdated`].
    pub fn outdated(message: impl Into<String>) -> Self {
        Self::new(Severity::Outdated, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            spot: None,
            message,
            label: None,
            help: Vec::new(),
        }
    }

    /// Where it is written.
    #[must_use]
    pub fn at(mut self, spot: &SourceSpot) -> Self {
        self.spot = Some(spot.clone());
        self
    }

    /// What stands beside the caret: `expected …`.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// One more line on how to put it right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Help for an unknown name: the one that was probably meant, then all that are known.
    #[must_use]
    pub fn suggest<'k>(self, written: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if known.is_empty() {
            return self;
        }
        let list = format!("known: {}", known.join(", "));
        match meant(written, &known) {
            Some(name) => self.help(format!("did you mean `{name}`? {list}")),
            None => self.help(list),
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning | Severity::Outdated => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(&self.message))
            .elements(self.picture())
            .elements(self.footer());
        renderer.render(&[group])
    }

    fn picture(&self) -> Option<Element<'_>> {
        let spot = self.spot.as_ref()?;
        Some(spot.picture(self.label.as_deref()))
    }

    /// The help, and the label where no line is shown to carry it.
    fn footer(&self) -> Vec<Element<'_>> {
        let is_shown = self.spot.as_ref().is_some_and(SourceSpot::is_shown);
        let label = self.label.as_deref().filter(|_| !is_shown);
        let label = label.map(|text| Level::NOTE.message(text));
        let help = self.help.iter().map(|text| Level::HELP.message(text));
        label.into_iter().chain(help).map(Element::from).collect()
    }

    fn view(&self) -> FaultView<'_> {
        let spot = self.spot.as_ref().filter(|spot| !spot.is_in_preset());
        FaultView {
            severity: self.severity,
            message: &self.message,
            file: spot.map(SourceSpot::source_name),
            line: spot.and_then(SourceSpot::line),
            column: spot.and_then(SourceSpot::column),
            label: self.label.as_deref(),
            help: &self.help,
        }
    }

    fn is_beside(&self, other: &Self) -> bool {
        match (&self.spot, &other.spot) {
            (Some(spot), Some(other)) => spot.is_beside(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

fn meant<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written = written.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&written, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// All faults found so far; `to_string` is the report without colour.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Takes one more; the same fault again is not worth a second report.
    pub fn push(&mut self, fault: Fault) {
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// Whether the configuration cannot be used.
    pub fn is_fatal(&self) -> bool {
        self.errors() > 0
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keep the configuration from being used.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many do not.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning) + self.count(Severity::Outdated)
    }

    /// Makes errors of what is past its end, for a command that is asked whether all is well.
    pub fn refuse_outdated(&mut self) {
        for fault in &mut self.0 {
            if fault.severity == Severity::Outdated {
                fault.severity = Severity::Error;
            }
        }
    }

    /// Each of them, in the order of a report.
    pub fn views(&self) -> impl Iterator<Item = FaultView<'_>> {
        self.in_reading_order().into_iter().map(Fault::view)
    }

    fn count(&self, severity: Severity) -> usize {
        let faults = self.0.iter();
        faults.filter(|fault| fault.severity == severity).count()
    }

    /// The last line of a report: `2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
        let counted = |(count, noun)| match count {
            0 => None,
            1 => Some(format!("1 {noun}")),
            _ => Some(format!("{count} {noun}s")),
        };
        let counts: Vec<String> = counts.into_iter().filter_map(counted).collect();
        if counts.is_empty() {
            "no faults".to_owned()
        } else {
            counts.join(", ")
        }
    }

    /// The report for a terminal.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let faults = self.in_reading_order();
        let reports = faults.iter().map(|fault| fault.render(renderer) + "\n");
        reports.collect::<Vec<_>>().join("\n")
    }

    /// Top to bottom, source by source; what stands nowhere comes last.
    fn in_reading_order(&self) -> Vec<&Fault> {
        let mut faults: Vec<&Fault> = self.0.iter().collect();
        faults.sort_by_cached_key(|fault| {
            let source = self.0.iter().position(|other| other.is_beside(fault));
            let start = fault.spot.as_ref().map_or(0, SourceSpot::start);
            (fault.spot.is_none(), source, start)
        });
        faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::SourceText;

    const FILE: &str = "[[shop]]\nname = \"main\"\npreset = \"bagist\"\n";

    fn spot_of(text: &str, part: &str) -> SourceSpot {
        let start = text.find(part).unwrap();
        let source = SourceText::new("doorward.toml", text);
        SourceSpot::within(&source, &(start..start + part.len()))
    }

    fn report(fault: Fault) -> String {
        let mut faults = Faults::default();
        faults.push(fault);
        faults.to_string()
    }

    #[test]
    fn a_fault_shows_its_line_with_label_and_help() {
        let fault = Fault::error("unknown preset `bagist`")
            .at(&spot_of(FILE, "\"bagist\""))
            .label("expected a preset")
            .suggest("bagist", ["bagisto", "cocart", "ecwid"]);
        let expected = "\
error: unknown preset `bagist`
 --> doorward.toml:3:10
  |
3 | preset = \"bagist\"
  |          ^^^^^^^^ expected a preset
  |
  = help: did you mean `bagisto`? known: bagisto, cocart, ecwid
";
        assert_eq!(report(fault), expected);
    }

    #[test]
    fn a_fault_of_an_unread_file_has_no_place() {
        let fault = Fault::error("/etc/doorward/doorward.toml cannot be read: no such file")
            .help("write it, or name another with --config");
        let expected = "\
error: /etc/doorward/doorward.toml cannot be read: no such file
 |
 = help: write it, or name another with --config
";
        assert_eq!(report(fault), expected);
    }

    #[test]
    fn a_fault_of_a_whole_file_names_it() {
        let source = SourceText::new("doorward.toml", FILE);
        let fault = Fault::error("missing key `listen`")
            .at(&SourceSpot::whole(&source))
            .label("expected an address");
        let expected = "\
error: missing key `listen`
--> doorward.toml
 = note: expected an address
";
        assert_eq!(report(fault), expected);
    }

    #[test]
    fn an_inline_secret_is_never_shown() {
        let texts = [
            "secret = \"hunter2\"",
            "secert = \"hunter2\"",
            "client-secret=\"hunter2\"",
            "token.secret = 'hunter2'",
            "token = { algorithms = [\"HS256\"], \"secret\" = \"hunter2\" }",
            "secret: hunter2",
            "secrets = [\n  \"a\",\n  \"hunter2\",\n]",
            "secret = \"\"\"\nMIIE==\nMIIE=\nhunter2=\"\"\"",
            "Secret = hunter2",
            "X-Api-Key = \"hunter2\"",
            "headers.request.set = { host = \"hunter2\" }",
            "headers = { request = { set = { Authorization = \"hunter2\" } } }",
            "headers.request.set = {\n  host = \"hunter2\",\n}",
            "[shop.route.headers.request.set]\nhost = \"hunter2\"",
            "[shop.route.headers.request.set\nhost = \"hunter2\"",
            "[shop.route.heders.request.set]\nhost = \"hunter2\"",
            "[[shop.route]]\nnot = { cookies = { name = \"hunter2\" } }",
            "query = { to = \"hunter2\" }",
            "Authorization \"Bearer hunter2\"",
            "\"Authorization\" \"Bearer hunter2\"",
            "name = \"main\" Authorization = \"hunter2\"",
            "preset = bagisto\", secret = \"hunter2\"",
            "paths = [\"/a\"]\nsecret =\n\"hunter2\"",
            "bus = \"redis://:hunter2@bus.internal\"",
            "upstream = [\n  \"https://user:hunter2@shop.internal\",\n]",
            "jwks_url = \"https://login.example.com/keys?key=hunter2\"",
            "body = '{\"client_secret\": \"hunter2\"}'",
            "# secret = \"hunter2\"",
        ];
        for text in texts {
            let fault = Fault::error("unfit").at(&spot_of(text, "hunter2"));
            let shown = report(fault.label("expected less"));
            let all = Fault::error("unfit").at(&spot_of(text, text));
            let all = report(all);
            assert!(!all.contains("hunter2"), "{all}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("--> doorward.toml:"), "{shown}");
            assert!(shown.contains("= note: expected less"), "{shown}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_is_shown() {
        let texts = [
            "secret_file = \"/keys/jwt.secret\"",
            "secret = \"x\"\nname = \"/keys/jwt.secret\"",
            "secret = \"x\"\n[shop]\nhosts = [\n  \"/keys/jwt.secret\",\n]",
            "header = \"/keys/jwt.secret\"",
            "split = [{ upstream = \"/keys/jwt.secret\", weight = 5 }]",
        ];
        for text in texts {
            let fault = Fault::error("unfit").at(&spot_of(text, "/keys/jwt.secret"));
            let shown = report(fault);
            assert!(shown.contains("/keys/jwt.secret"), "{shown}");
        }
    }

    #[test]
    fn of_an_unknown_key_only_its_name_is_shown() {
        let text = "secert = \"hunter2\"";
        let fault = Fault::error("unknown key `secert`").at(&spot_of(text, "secert"));
        let expected = "\
error: unknown key `secert`
 --> doorward.toml:1:1
  |
1 | secert =
  | ^^^^^^ here
";
        assert_eq!(report(fault.label("here")), expected);
    }

    #[test]
    fn faults_are_told_from_top_to_bottom() {
        let file = SourceText::new("doorward.toml", FILE);
        let preset = SourceText::new("preset bagisto", FILE);
        let mut faults = Faults::default();
        faults.push(Fault::error("last"));
        faults.push(Fault::error("second").at(&SourceSpot::within(&file, &(10..11))));
        faults.push(Fault::error("third").at(&SourceSpot::within(&preset, &(0..1))));
        faults.push(Fault::error("first").at(&SourceSpot::within(&file, &(0..1))));
        let told = faults.in_reading_order().into_iter();
        let told: Vec<&str> = told.map(|fault| fault.message.as_str()).collect();
        assert_eq!(told, ["first", "second", "third", "last"]);
    }

    #[test]
    fn only_errors_are_fatal() {
        let mut faults = Faults::default();
        assert_eq!(faults.summary(), "no faults");
        faults.push(Fault::warning("odd"));
        faults.push(Fault::warning("odd"));
        assert!(!faults.is_fatal());
        assert_eq!(faults.summary(), "1 warning");
        faults.push(Fault::error("bad"));
        faults.push(Fault::error("worse"));
        assert!(faults.is_fatal());
        assert_eq!(faults.summary(), "2 errors, 1 warning");
    }

    #[test]
    fn colour_comes_only_when_asked_for() {
        let mut faults = Faults::default();
        faults.push(Fault::error("unfit").at(&spot_of(FILE, "main")));
        assert!(!faults.to_string().contains('\u{1b}'));
        assert!(faults.coloured().contains('\u{1b}'));
    }

    #[test]
    fn any_span_of_any_text_can_be_shown() {
        for text in [
            "",
            "\n",
            "é",
            "a\n",
            "a\r\nb",
            "é = 'ü'\n\tö\u{1b}",
            "\u{feff}a",
        ] {
            let source = SourceText::new("doorward.toml", text);
            let ends = 0..=text.len() + 2;
            let spans = ends.clone().flat_map(|a| ends.clone().map(move |b| a..b));
            for span in spans {
                let spot = SourceSpot::within(&source, &span);
                let shown = report(Fault::error("unfit").at(&spot).label("here"));
                assert!(shown.contains("--> doorward.toml:"), "{shown}");
            }
        }
    }
}
