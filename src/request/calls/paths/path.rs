//! The path of a request: normalised, with the other readings that a parser could have of it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The path of a request, ready to be matched. The shop is sent the original bytes.
#[derive(Debug)]
pub struct Path<'a> {
    /// As it was sent.
    raw: &'a str,
    /// Decoded, without dot segments, doubled slashes and `;params`.
    normal: Cow<'a, str>,
    /// The readings of other parsers, which differ about encoded slashes and backslashes, NULs, a second layer of encoding and
    /// invalid UTF-8. Empty for almost every path.
    others: Vec<String>,
    /// Whether it has more than one reading and is too long to compute them all.
    has_too_many_readings: bool,
}

/// The longest ambiguous path whose readings are computed: there may be a hundred, and a client must not cause so much work with
/// a long one. Rules and genuine links are shorter.
const AMBIGUOUS_BYTES_MAX: usize = 4 << 10;

/// How the shop reads request targets and methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathStyle {
    /// `/Cart` is `/cart`.
    pub ignore_case: bool,
    /// `/cart/` is not `/cart`.
    pub exact_slash: bool,
    /// A GET may name another method in a parameter of its query, as a POST may everywhere.
    pub get_override: bool,
}

impl<'a> Path<'a> {
    /// Reads the path of a request target.
    pub fn parse(raw: &'a str) -> Self {
        if is_plain(raw) {
            return Self {
                raw,
                normal: Cow::Borrowed(raw),
                others: Vec::new(),
                has_too_many_readings: false,
            };
        }
        let decoded: Vec<u8> = percent_decode(raw.as_bytes()).collect();
        let text = String::from_utf8_lossy(&decoded);
        let ambiguous = is_ambiguous(raw, &decoded);
        let has_too_many_readings = ambiguous && raw.len() > AMBIGUOUS_BYTES_MAX;
        let others = if ambiguous && !has_too_many_readings {
            other_readings(raw, &decoded)
        } else {
            Vec::new()
        };
        Self {
            raw,
            normal: Cow::Owned(normalise(&text)),
            others,
            has_too_many_readings,
        }
    }

    /// The normalised path.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// Whether two parsers could read this path differently.
    pub fn is_ambiguous(&self) -> bool {
        !self.others.is_empty() || self.has_too_many_readings
    }

    /// Whether it has too many readings to find the rules that match it.
    pub fn has_too_many_readings(&self) -> bool {
        self.has_too_many_readings
    }

    /// Every reading of this path.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.normal()).chain(self.others.iter().map(String::as_str))
    }

    /// The readings of servers that resolve nothing, as Express: with dot segments, doubled slashes, params and encoded letters.
    /// Empty for almost every path.
    pub(in crate::request) fn unresolved(&self) -> Vec<String> {
        if matches!(self.normal, Cow::Borrowed(_)) {
            return Vec::new();
        }
        let decoded: Vec<u8> = percent_decode(self.raw.as_bytes()).collect();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let bare = without_params(&decoded);
        let mut all = vec![self.raw.to_owned(), decoded, bare];
        all.dedup();
        all
    }

    /// The readings of servers to which `..;` is a name; to others it leads up.
    pub(in crate::request) fn with_dots_as_names(&self) -> Vec<String> {
        let is_name = |name: &str| name.starts_with("..;");
        let mut all = self.unresolved();
        all.retain(|reading| reading.split('/').any(is_name));
        all
    }

    /// Whether it has a segment that leads up, to some servers at least.
    pub(in crate::request) fn leads_up(&self) -> bool {
        let is_up = |name: &str| name == ".." || name.starts_with("..;");
        let unresolved = self.unresolved();
        let mut readings = unresolved.iter();
        readings.any(|reading| reading.split(['/', '\\']).any(is_up))
    }
}

/// Whether a path needs no normalisation, as most do: this costs one pass and no memory.
pub(super) fn is_plain(raw: &str) -> bool {
    // Without an early return, so that it is vectorised; nearly every path is read to its end anyway.
    let raw = raw.as_bytes();
    let odd = raw.iter().fold(false, |odd, byte| {
        odd | matches!(byte, b'%' | b';' | b'\\' | 0)
    });
    let behind = raw.get(1..).unwrap_or_default();
    let odd = raw.iter().zip(behind).fold(odd, |odd, (byte, next)| {
        odd | (*byte == b'/') & matches!(next, b'/' | b'.')
    });
    raw.first() == Some(&b'/') && !odd
}

/// Standards 127: whether parsers differ about a path, which reaches the shop verbatim.
fn is_ambiguous(raw: &str, decoded: &[u8]) -> bool {
    let encoded_slash = count(raw.as_bytes(), b'/') != count(decoded, b'/');
    let encoded_params = count(raw.as_bytes(), b';') != count(decoded, b';');
    let odd = decoded.iter().any(|byte| matches!(byte, b'\\' | 0));
    let encoded_twice = percent_decode(decoded).count() != decoded.len();
    let Ok(text) = std::str::from_utf8(decoded) else {
        return true;
    };
    let names = without_params(text);
    let climbs_differ =
        names.contains("//") && collapse(&without_dot_segments(&names)) != collapse(&names);
    encoded_slash || encoded_params || odd || encoded_twice || climbs_differ
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.split(|byte| *byte == wanted).count()
}

/// The readings of other parsers: not decoded or decoded twice; params kept, or removed before or after the other steps;
/// backslashes as slashes; cut at a NUL; invalid bytes left out; doubled slashes merged after the dot segments.
fn other_readings(raw: &str, decoded: &[u8]) -> Vec<String> {
    let twice: Vec<u8> = percent_decode(decoded).collect();
    let params_first: Vec<u8> = percent_decode(without_params(raw).as_bytes()).collect();
    let decoded = [decoded, &twice, &shortened(decoded), &params_first];
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut texts = Vec::from(decoded);
    texts.push(raw.to_owned());
    let slashed = |text: &str| text.replace('\\', "/");
    let cut = |text: &str| text.split('\0').next().unwrap_or_default().to_owned();
    let bare = |text: &str| text.replace(['\0', '\u{fffd}'], "");
    let steps: [&dyn Fn(&str) -> String; 5] =
        [&without_params, &slashed, &cut, &bare, &without_params];
    for step in steps {
        let taken: Vec<_> = texts.iter().map(|text| step(text)).collect();
        texts.extend(taken);
        texts.sort_unstable();
        texts.dedup();
    }
    let readings = |text: &String| [collapse(text), collapse(&without_dot_segments(text))];
    texts.iter().flat_map(readings).collect()
}

/// Decodes overlong UTF-8 of the letters that matter in paths, as lax decoders do.
fn shortened(decoded: &[u8]) -> Vec<u8> {
    const OVERLONG: [(&[u8], u8); 5] = [
        (b"\xc0\xaf", b'/'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xc0\xae", b'.'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xc1\x9c", b'\\'),
    ];
    let mut short = Vec::with_capacity(decoded.len());
    let mut rest = decoded;
    while let Some((first, others)) = rest.split_first() {
        let found = OVERLONG.iter().find(|(long, _)| rest.starts_with(long));
        let (letter, length) = found.map_or((*first, 1), |(long, letter)| (*letter, long.len()));
        short.push(letter);
        rest = if length == 1 { others } else { &rest[length..] };
    }
    short
}

/// Without `;params`, doubled slashes and dot segments (RFC 3986 sections 3.3, 5.2.4 and 6.2.2).
fn normalise(text: &str) -> String {
    collapse(&without_params(text))
}

fn without_params(text: &str) -> String {
    let segments = text.split('/');
    let names = segments.map(|segment| segment.split(';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join("/")
}

/// Without dot segments, strictly by RFC 3986 section 5.2.4: `..` may remove an empty segment.
fn without_dot_segments(text: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.strip_prefix('/').unwrap_or(text).split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let folder = if text.ends_with("/.") || text.ends_with("/..") {
        "/"
    } else {
        ""
    };
    format!("/{}{folder}", segments.join("/"))
}

pub(in crate::request) fn collapse(text: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut path = format!("/{}", segments.join("/"));
    let ends_in_folder = text.ends_with('/') || text.ends_with("/.") || text.ends_with("/..");
    if ends_in_folder && path.len() > 1 {
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(raw: &str) -> String {
        Path::parse(raw).normal().to_owned()
    }

    #[test]
    fn a_long_ambiguous_path_is_not_read_in_every_way() {
        let long = format!("/a%2f{}", "b;c/..//".repeat(2_000));
        let path = Path::parse(&long);
        assert!(path.has_too_many_readings() && path.is_ambiguous());
        assert_eq!(path.readings().count(), 1);
        assert!(!Path::parse(&format!("/{}", "b/".repeat(8_000))).is_ambiguous());
    }

    #[test]
    fn every_spelling_of_a_logout_is_that_logout_standards_127() {
        for spelling in [
            "/api/logout",
            "//api/logout",
            "/api//logout",
            "/api/x/../logout",
            "/api/./logout",
            "/api/%6cogout",
            "/api/logout;x=1",
            "/api;v=2/logout",
            "/api/logout/",
            "/api/%2e%2e/api/logout",
            "//api/x/../logout",
        ] {
            assert_eq!(normal(spelling).trim_end_matches('/'), "/api/logout");
            assert!(!Path::parse(spelling).is_ambiguous(), "{spelling}");
        }
    }

    #[test]
    fn what_a_server_sees_that_resolves_nothing_attacks_a11() {
        let unresolved = |raw: &'static str| Path::parse(raw).unresolved();
        let seen = unresolved("/account/../static/x");
        assert!(
            seen.contains(&"/account/../static/x".to_owned()),
            "{seen:?}"
        );
        assert!(unresolved("/%73tatic/x").contains(&"/%73tatic/x".to_owned()));
        assert!(unresolved("//static/x").contains(&"//static/x".to_owned()));
        assert!(unresolved("/static/x").is_empty());
    }

    #[test]
    fn what_two_parsers_read_differently_is_ambiguous_standards_127() {
        for (raw, reading) in [
            ("/api%2flogout", "/api/logout"),
            ("/api%5clogout", "/api/logout"),
            ("/api\\logout", "/api/logout"),
            ("/api/logout%00.png", "/api/logout"),
            ("/api/%256cogout", "/api/logout"),
            ("/api/%ff/../logout", "/api/logout"),
            ("/api/logout%3bx=1", "/api/logout"),
            ("/api/logout%ff", "/api/logout"),
            ("/api//../logout", "/api/logout"),
            ("/api/;x/../logout", "/api/logout"),
            ("/api/logout;a=b%2fc", "/api/logout"),
            ("/api\\%3b%5c/logout", "/api/logout"),
        ] {
            let path = Path::parse(raw);
            assert!(path.is_ambiguous(), "{raw}");
            assert!(path.readings().any(|one| one == reading), "{raw}: {path:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in "/[a-z%/.;0-9\\\\]{0,30}") {
            let once = normal(&raw);
            prop_assert_eq!(collapse(&once), once);
        }

        #[test]
        fn encoding_any_letter_changes_no_reading(word in "[a-z]{1,8}", place in 0usize..8) {
            let place = place % word.len();
            let byte = word.as_bytes()[place];
            let spelled = format!("/{}%{byte:02X}{}", &word[..place], &word[place + 1..]);
            prop_assert_eq!(normal(&spelled), format!("/{word}"));
        }

        #[test]
        fn no_path_panics(raw in "\\PC{0,40}") {
            let path = Path::parse(&raw);
            prop_assert!(path.readings().all(|reading| reading.starts_with('/')));
        }
    }
}
