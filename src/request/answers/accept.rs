//! What a client would rather be told in: HTML, or the format of an API (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};

use super::weight::{Weight, weight_in};

/// How much a client wants a media type: its weight, and how exactly it names the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    weight: Weight,
    exactness: u8,
}

/// Whether a client names HTML, and names nothing else that an API answers with at least as much.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let html = preference_for(headers, "text", &["html"]);
    let api = preference_for(headers, "application", &["json", "problem+json"]);
    html.weight > 0 && html.exactness > 1 && html > api
}

/// How much it wants one of these, by the range that names it most exactly.
fn preference_for(headers: &HeaderMap, kind: &str, subtypes: &[&str]) -> Preference {
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let ranges = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let of_range = |range: &[u8]| {
        let range = str::from_utf8(range).ok()?;
        let mut parts = range.split(';');
        let (range_kind, range_subtype) = parts.next()?.trim().split_once('/')?;
        let is_named = subtypes
            .iter()
            .any(|subtype| range_subtype.eq_ignore_ascii_case(subtype));
        let exactness = match (range_kind, range_subtype) {
            ("*", "*") => 1,
            (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => 2,
            (range_kind, _) if range_kind.eq_ignore_ascii_case(kind) && is_named => 3,
            _ => return None,
        };
        let weight = weight_in(parts);
        Some(Preference { weight, exactness })
    };
    let preferences = ranges.filter_map(of_range);
    preferences
        .max_by_key(|one| (one.exactness, one.weight))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_those_who_would_rather_have_it() {
        let prefers = |accept: &[&str]| {
            let lines = accept.iter().map(|line| (ACCEPT, line.parse().unwrap()));
            prefers_html(&lines.collect())
        };
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "TEXT/HTML;Q=0.2",
            "text/*",
            "text/html, */*",
            "text/html;q=0.9, application/json;q=0.8",
            "text/html;level=1",
            "application/json;q=0, text/html;q=0.001",
        ] {
            assert!(prefers(&[browser]), "{browser}");
        }
        for api in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html, application/json",
            "text/html;q=0.8, */*;q=0.9",
            "text/html;q=0, */*",
            "text/*, text/html;q=0",
            "text/html;q=0.5, application/problem+json",
            "text/html;q=7",
            "text/html;q=1.5",
            "image/avif,image/webp,*/*;q=0.8",
            "application/graphql-response+json, application/json",
            "application/xhtml+xml",
            "nonsense",
        ] {
            assert!(!prefers(&[api]), "{api}");
        }
        assert!(!prefers(&[]));
        assert!(prefers(&["application/json;q=0.1", "text/html"]));
    }
}
