//! The two text formats of metrics, and which of them a scraper would rather read.

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    /// The text format of Prometheus, version 0.0.4: what `promtool check metrics` and every collector read.
    Text,
    /// `OpenMetrics`, for a client that names it and wants it as much.
    OpenMetrics,
}

impl Exposition {
    /// The format for a client that accepts this (RFC 9110 section 12.5.1).
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let open = weight(headers, &["application/openmetrics-text"]);
        let text = weight(headers, &["text/plain", "text/*"]);
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The page in this format, from one in `OpenMetrics`.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Self::Text => in_text_format(&open_metrics),
            Self::OpenMetrics => open_metrics,
        }
    }
}

/// How much a client wants one of these media types.
fn weight(headers: &HeaderMap, types: &[&str]) -> f32 {
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::to_str);
    let ranges = lines.flatten().flat_map(|line| line.split(','));
    let weights = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        let is_meant = types.iter().any(|kind| kind.eq_ignore_ascii_case(name));
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .unwrap_or("1");
        is_meant.then(|| weight.parse().unwrap_or(0.0))
    });
    weights.fold(0.0, f32::max)
}

/// The older format names a counter by its samples, and knows neither units nor an end of the page.
fn in_text_format(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            page.push_str(line);
            page.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(name), Some(text)) => help = Some((name, text)),
            (Some("TYPE"), Some(name), Some(kind)) => {
                let ending = if kind == "counter" { "_total" } else { "" };
                let kind = if kind == "unknown" { "untyped" } else { kind };
                if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                    page.extend(["# HELP ", name, ending, " ", text, "\n"]);
                }
                page.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
            }
            _ => {} // a unit, or the end
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_named_by_its_samples_in_the_older_format() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total{b=\"# HELP\"} 1\n# HELP c C c.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_seconds_total How long.\n# TYPE a_seconds_total counter\n\
                    a_seconds_total{b=\"# HELP\"} 1\n# HELP c C c.\n# TYPE c gauge\nc 2\n";
        assert_eq!(in_text_format(open), text);
    }

    #[test]
    fn open_metrics_is_for_those_who_name_it() {
        let accepted = |accept: &str| {
            let headers = [(ACCEPT, HeaderValue::from_str(accept).unwrap())];
            Exposition::accepted(&headers.into_iter().collect())
        };
        assert_eq!(Exposition::accepted(&HeaderMap::new()), Exposition::Text);
        for text in [
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3, text/plain;q=0.5",
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ] {
            assert_eq!(accepted(text), Exposition::Text, "{text}");
        }
        for open in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2", // Prometheus 2
            "Application/OpenMetrics-Text; version=1.0.0; q=0.5, text/plain; q=0.5",
        ] {
            assert_eq!(accepted(open), Exposition::OpenMetrics, "{open}");
        }
    }
}
