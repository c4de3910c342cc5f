//! Paths: what a shop could take for a logout or a guarded page is that to us, or is refused.
//!
//! An input is a request target.

use std::sync::LazyLock;

use doorward::clock::UnixTime;
use doorward::request::{Gate, Path, PathPattern, PathStyle, Request, Verdict};
use http::Uri;

use super::bare_gate::bare_gate;
use super::percent;

const RULES: &str = r#"
[[shop.logout]]
methods = ["GET"]
paths = ["/api/logout"]
answer = "local"
[[shop.route]]
paths = ["/private/*"]
enforce = "required"
"#;

static GATE: LazyLock<Gate> = LazyLock::new(|| bare_gate(RULES).0);

/// Normalising is final, and no reading of a path leads past a rule.
pub fn path(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        normalising_is_final(text);
    }
    let Ok(uri) = Uri::try_from(bytes) else {
        return;
    };
    no_reading_leads_past_a_rule(&uri);
}

fn normalising_is_final(text: &str) {
    let path = Path::parse(text);
    assert!(path.readings().all(|reading| reading.starts_with('/')));
    let normal = path.normal();
    if !path.is_ambiguous() {
        let respelled: String = normal.bytes().map(respelled).collect();
        for spelling in [normal.replace('%', "%25"), respelled] {
            let again = Path::parse(&spelling);
            assert_eq!(again.normal(), normal, "{spelling}");
            assert!(!again.is_ambiguous(), "{spelling}");
        }
    }
    let Ok(pattern) = PathPattern::parse(normal) else {
        return;
    };
    for (ignore_case, exact_slash) in [(false, false), (false, true), (true, false), (true, true)] {
        let style = PathStyle {
            ignore_case,
            exact_slash,
            get_override: false,
        };
        assert!(
            pattern.matches(normal, style) || normal.contains('*'),
            "{normal}"
        );
    }
}

fn respelled(byte: u8) -> String {
    match byte {
        b'/' => "/".to_owned(),
        _ => format!("%{byte:02x}"),
    }
}

fn no_reading_leads_past_a_rule(uri: &Uri) {
    let request = http::Request::builder()
        .uri(uri.clone())
        .header("host", "shop.example.com");
    let head = request.body(()).unwrap().into_parts().0;
    let judged = GATE.judge(
        &Request::new(&head, None),
        UnixTime::from_seconds(1_790_000_000),
    );
    let (is_logout, is_refused) = match judged {
        Ok(Verdict::LogOut(_)) => (true, false),
        Ok(Verdict::Forward { .. } | Verdict::Preflight | Verdict::Introspect(_, _)) => {
            (false, false)
        }
        Ok(Verdict::Script) | Err(_) => (false, true), // no shop sees it
    };
    for reading in readings(uri.path().as_bytes()) {
        if reading.trim_end_matches('/') == "/api/logout" {
            assert!(is_logout || is_refused, "{uri} is a logout: {reading}");
        }
        let page = reading.strip_prefix("/private/").unwrap_or_default();
        if !page.trim_matches('/').is_empty() {
            assert!(is_refused, "{uri} is guarded: {reading}");
        }
    }
}

/// What shops in the field could make of a path: every order and choice of their steps that one of them takes.
fn readings(raw: &[u8]) -> Vec<String> {
    let mut readings = Vec::new();
    for decode in [false, true] {
        for params in [Params::Kept, Params::CutBefore, Params::CutAfter] {
            let cut = if params == Params::CutBefore {
                without_params(raw)
            } else {
                raw.to_vec()
            };
            let plain = if decode { percent::decoded(&cut) } else { cut };
            let plain = if params == Params::CutAfter {
                without_params(&plain)
            } else {
                plain
            };
            let text = String::from_utf8_lossy(&plain).into_owned();
            if text.split('/').any(is_hollow) {
                continue;
            }
            let cut = text.split('\0').next().unwrap_or_default().to_owned();
            for text in [text.replace('\\', "/"), text, cut] {
                readings.push(without_dots(&merged(&text)));
                readings.push(merged(&without_dots(&text)));
            }
        }
    }
    readings
}

/// `..;x` and `%2e%2e` go up and `;x` is nothing, for us as for every shop that knows params or decodes; no other shop
/// has a page of such a name.
fn is_hollow(segment: &str) -> bool {
    let is_nothing = |name: &[u8]| matches!(name, b"" | b"." | b"..");
    let name = without_params(&percent::decoded(segment.as_bytes()));
    is_nothing(&name) && !is_nothing(segment.as_bytes())
}

#[derive(PartialEq)]
enum Params {
    Kept,
    CutBefore,
    CutAfter,
}

fn without_params(text: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let mut kept = text.to_vec();
    kept.retain(|byte| {
        inside = *byte == b';' || (inside && *byte != b'/');
        !inside
    });
    kept
}

fn merged(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("//") {
        text = text.replace("//", "/");
    }
    text
}

/// RFC 3986 section 5.2.4, letter by letter.
fn without_dots(text: &str) -> String {
    let (mut input, mut output) = (text.to_owned(), String::new());
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("/./") {
            input = format!("/{rest}");
        } else if input == "/." {
            "/".clone_into(&mut input);
        } else if input == "/.." || input.starts_with("/../") {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or_default());
        } else {
            let end = input
                .char_indices()
                .skip(1)
                .find(|(_, letter)| *letter == '/');
            let end = end.map_or(input.len(), |(at, _)| at);
            output.extend(input.drain(..end));
        }
    }
    output
}
