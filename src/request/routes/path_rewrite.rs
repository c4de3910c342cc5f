//! The path that an upstream is sent in the place of the customer's.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{
    AsciiSet, CONTROLS, percent_decode_str, percent_encode_byte, utf8_percent_encode,
};
use regex::{Captures, Regex};

use crate::request::calls::{PathPattern, TracedPath};

/// How the path for the upstream is made. What is judged is the customer's.
#[derive(Debug, Default)]
pub enum PathRewrite {
    /// As the customer sent it, byte for byte.
    #[default]
    None,
    /// Without the folder in which the application stands for customers.
    StripPrefix(PathPrefix),
    /// What a pattern finds in the decoded path is replaced.
    Pattern(PathReplacement),
}

/// A folder, such as `/api`, decoded and without a slash at the end.
#[derive(Debug)]
pub struct PathPrefix(Vec<String>);

/// A pattern and what takes the place of its first match.
#[derive(Debug)]
pub struct PathReplacement {
    pattern: Regex,
    to: Vec<Replacement>,
}

/// A part of what takes the place of a match.
#[derive(Debug)]
enum Replacement {
    /// Text, encoded for a path.
    Text(String),
    /// What a group has matched, as it was sent.
    Group(usize),
}

/// Why a rewrite can't be used.
#[derive(Debug)]
pub enum UnfitRewrite {
    /// The prefix is no folder.
    Prefix,
    /// The pattern is no regular expression; its own words.
    Pattern(regex::Error),
    /// The replacement is no path.
    To,
    /// The replacement names a group that the pattern does not have.
    Group(String),
}

/// The memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What is encoded in a path (RFC 3986 section 3.3): all that is no `pchar` and no `/`.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl PathRewrite {
    /// The path for the upstream; it begins with a slash.
    pub fn apply<'p>(&self, raw: &'p str) -> Cow<'p, str> {
        match self {
            Self::None => Cow::Borrowed(raw),
            Self::StripPrefix(prefix) => prefix.strip(raw),
            Self::Pattern(replacement) => replacement.apply(raw),
        }
    }
}

impl PathPrefix {
    /// Reads a folder.
    pub fn parse(text: &str) -> Result<Self, UnfitRewrite> {
        let folder = text.strip_prefix('/').ok_or(UnfitRewrite::Prefix)?;
        let is_odd = |name: &str| {
            name.is_empty()
                || name == "."
                || name == ".."
                || name.contains(['*', '?', '#', '%', ';', '\\', '{', '}'])
        };
        let names: Vec<_> = folder.split('/').map(str::to_owned).collect();
        if names.iter().any(|name| is_odd(name)) {
            return Err(UnfitRewrite::Prefix);
        }
        Ok(Self(names))
    }

    /// What begins with it: the folder itself, and all below.
    pub fn patterns(&self) -> Vec<PathPattern> {
        let folder = format!("/{}", self.0.join("/"));
        let all = [folder.clone(), format!("{folder}/*")];
        all.iter()
            .filter_map(|text| PathPattern::parse(text).ok())
            .collect()
    }

    /// A path without it, the rest as it was sent; where dot segments or doubled slashes would lead somewhere else without
    /// the folder before them, without these. A path that does not stand in the folder stays as it is.
    fn strip<'p>(&self, raw: &'p str) -> Cow<'p, str> {
        let path = TracedPath::parse(raw);
        let normal = path.normal();
        let Some(judged) = strip_names(normal, &self.0, |given, name| given == name) else {
            return Cow::Borrowed(raw);
        };
        match strip_names(raw, &self.0, is_written_so).map(rooted) {
            Some(rest) if TracedPath::parse(rest).normal() == rooted(judged) => Cow::Borrowed(rest),
            Some(_) | None => {
                let mut rest = String::new();
                let behind_slash = normal.len() + 1 - judged.len();
                path.write_raw(behind_slash..normal.len(), &mut rest);
                Cow::Owned(absolute(&rest))
            }
        }
    }
}

impl PathReplacement {
    /// Reads a pattern, whose groups `to` names as `$1` or `${name}`. Matching takes time in the length of the path only.
    ///
    /// `.` matches every letter, also the end of a line: a client must not pass a rewrite by with `%0a`.
    pub fn parse(pattern: &str, to: &str) -> Result<Self, UnfitRewrite> {
        let pattern = regex::RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(UnfitRewrite::Pattern)?;
        let is_odd =
            |letter: char| letter.is_whitespace() || letter.is_control() || "?#\\".contains(letter);
        let is_dots = |name: &str| matches!(name, "." | "..");
        if to.contains(is_odd) || to.contains("//") || to.split('/').any(is_dots) {
            return Err(UnfitRewrite::To);
        }
        let group = |name: &str| match name.parse::<usize>() {
            Ok(number) => (number < pattern.captures_len()).then_some(number),
            Err(_) => pattern.capture_names().position(|one| one == Some(name)),
        };
        let mut parts = Vec::new();
        for part in parts_of(to) {
            parts.push(match part {
                ReplacementText::Text(text) => Replacement::Text(encoded(text)),
                ReplacementText::Group(name) => {
                    let known = group(name).ok_or_else(|| UnfitRewrite::Group(name.to_owned()));
                    Replacement::Group(known?)
                }
            });
        }
        Ok(Self { pattern, to: parts })
    }

    /// The path with the replacement. Everything else in it is as it was sent, without dot segments and doubled slashes.
    fn apply<'p>(&self, raw: &'p str) -> Cow<'p, str> {
        let path = TracedPath::parse(raw);
        match self.pattern.captures(path.normal()) {
            Some(found) => Cow::Owned(self.replaced(&path, &found)),
            None => Cow::Borrowed(raw),
        }
    }

    fn replaced(&self, path: &TracedPath<'_>, found: &Captures<'_>) -> String {
        let raw_of = |part| {
            let mut raw = String::new();
            path.write_raw(part, &mut raw);
            raw
        };
        let all = found.get(0).map_or(0..0, |all| all.range());
        let mut replaced = raw_of(0..all.start);
        for part in &self.to {
            match part {
                Replacement::Text(text) => join(&mut replaced, text),
                Replacement::Group(group) => {
                    let part = found.get(*group).map_or(0..0, |group| group.range());
                    join(&mut replaced, &raw_of(part));
                }
            }
        }
        join(&mut replaced, &raw_of(all.end..path.normal().len()));
        absolute(&replaced)
    }
}

/// Adds a piece to a path. A `%` that began no escape begins none with the digits of the piece.
fn join(path: &mut String, piece: &str) {
    let is_begun = match path.as_bytes() {
        [.., b'%'] => true,
        [.., b'%', digit] => digit.is_ascii_hexdigit(),
        [..] => false,
    };
    let digit = piece.bytes().next().filter(u8::is_ascii_hexdigit);
    match digit.filter(|_| is_begun) {
        Some(digit) => {
            path.push_str(percent_encode_byte(digit));
            path.push_str(&piece[1..]);
        }
        None => path.push_str(piece),
    }
}

/// A path with one slash at its begin: an upstream could take what follows two for a host.
fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// What is left of a path that was stripped of all.
fn rooted(rest: &str) -> &str {
    if rest.is_empty() { "/" } else { rest }
}

/// What is left behind these segments: it begins with a slash, or is empty.
fn strip_names<'p>(
    path: &'p str,
    names: &[String],
    is: impl Fn(&str, &str) -> bool,
) -> Option<&'p str> {
    let mut rest = path;
    for name in names {
        let inside = rest.strip_prefix('/')?;
        let end = inside.find('/').unwrap_or(inside.len());
        if !is(&inside[..end], name) {
            return None;
        }
        rest = &inside[end..];
    }
    let is_plain = !rest.starts_with("//"); // an upstream could take what follows for a host
    is_plain.then_some(rest)
}

fn is_written_so(given: &str, name: &str) -> bool {
    given == name
        || percent_decode_str(given)
            .decode_utf8()
            .is_ok_and(|given| given == name)
}

fn encoded(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

/// A part of a replacement, as it is written.
#[derive(Debug, PartialEq, Eq)]
enum ReplacementText<'t> {
    Text(&'t str),
    Group(&'t str),
}

/// The parts of a replacement, as the `regex` crate reads it: `$1`, `$name`, `${name}`, and `$$` for `$`.
fn parts_of(to: &str) -> Vec<ReplacementText<'_>> {
    let mut parts = Vec::new();
    let mut rest = to;
    while let Some((before, behind)) = rest.split_once('$') {
        parts.push(ReplacementText::Text(before));
        let braced = behind.strip_prefix('{');
        if let Some((name, behind)) = braced.and_then(|name| name.split_once('}')) {
            parts.push(ReplacementText::Group(name));
            rest = behind;
            continue;
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let end = behind.find(|letter| !is_name(letter));
        let (name, behind) = behind.split_at(end.unwrap_or(behind.len()));
        if name.is_empty() {
            parts.push(ReplacementText::Text("$"));
            rest = behind.strip_prefix('$').unwrap_or(behind);
        } else {
            parts.push(ReplacementText::Group(name));
            rest = behind;
        }
    }
    parts.push(ReplacementText::Text(rest));
    parts
}

impl fmt::Display for UnfitRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => {
                f.write_str("expected a folder such as /api, without a slash at the end")
            }
            Self::To => f.write_str(
                "`to` is a path such as /shop/$1, without query, fragment, dot segments and blanks",
            ),
            Self::Pattern(why) => write!(f, "this is no pattern: {why}"),
            Self::Group(name) => write!(
                f,
                "`to` names the group `{name}`, which the pattern does not have"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_stripped_and_the_rest_stays_byte_for_byte() {
        let strip = PathRewrite::StripPrefix(PathPrefix::parse("/api/v1").unwrap());
        for (path, sent) in [
            ("/api/v1/a%20b%2Fc", "/a%20b%2Fc"),
            ("/api/v1/", "/"),
            ("/api/v1", "/"),
            ("/%61pi/v1/x", "/x"),
            ("/api//v1/x", "/x"),
            ("/x/../api/v1/%C3%A9", "/%C3%A9"),
            ("/api/v1/./a", "/./a"),
            ("/api/v1/x/../../v1/y", "/y"),
            ("/api/v1/x/../../../api/v1/api/v1/y", "/api/v1/y"),
            ("/api/v1/../../x", "/api/v1/../../x"),
            ("/api/v1//evil.example/x", "/evil.example/x"),
            ("/api/v10/x", "/api/v10/x"),
            ("/other", "/other"),
        ] {
            assert_eq!(strip.apply(path), sent, "{path}");
        }
        for unfit in [
            "", "api", "/", "/api/", "//", "/a//b", "/../a", "/a/*", "/a%20b",
        ] {
            assert!(PathPrefix::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_pattern_rewrites_what_was_judged() {
        let rewrite =
            |pattern, to| PathRewrite::Pattern(PathReplacement::parse(pattern, to).unwrap());
        let moved = rewrite("^/shop/(?<rest>.*)$", "/store/${rest}");
        assert_eq!(moved.apply("/shop/a%20b/%C3%A9"), "/store/a%20b/%C3%A9");
        assert_eq!(moved.apply("/x/../shop/a"), "/store/a");
        assert_eq!(moved.apply("/x/a%20b"), "/x/a%20b");
        let bare = rewrite("^/shop", "");
        assert_eq!(bare.apply("/shop/evil.example"), "/evil.example");
        assert_eq!(bare.apply("/shop//evil.example"), "/evil.example");
        assert_eq!(bare.apply("/shop"), "/");
        assert!(PathReplacement::parse("(", "").is_err());
        for to in ["$1", "${name}", "/x/$2a"] {
            let unfit = PathReplacement::parse("^/x", to).unwrap_err();
            assert!(matches!(unfit, UnfitRewrite::Group(_)), "{to}");
        }
        assert_eq!(rewrite("^/(a)", "/$1/$$2$").apply("/a"), "/a/$2$");
    }

    #[test]
    fn no_byte_of_a_path_passes_a_pattern_by() {
        let moved =
            PathRewrite::Pattern(PathReplacement::parse("^/shop/(.*)$", "/store/$1").unwrap());
        for byte in 0..=u8::MAX {
            let path = format!("/shop/a%{byte:02x}b");
            assert_eq!(moved.apply(&path), format!("/store/a%{byte:02x}b"));
        }
        let exact = PathReplacement::parse("(?-s)^/a.b$", "/x").unwrap();
        assert_eq!(exact.apply("/a%0ab"), "/a%0ab");
    }

    #[test]
    fn what_a_pattern_does_not_replace_is_sent_as_it_came() {
        let rewrite =
            |pattern, to| PathRewrite::Pattern(PathReplacement::parse(pattern, to).unwrap());
        let moved = rewrite("^/shop/(.*)$", "/store/$1");
        for rest in [
            "%ff%FE",
            "%e2%82x",
            "a%2Fb",
            "%7e%41",
            "a%3Bb;v=1/c;w",
            "100%",
            "%4/%zz",
            "a|b^\"",
            "c\\d",
            "%25%32%66",
        ] {
            assert_eq!(
                moved.apply(&format!("/shop/{rest}")),
                format!("/store/{rest}")
            );
        }
        let inner = rewrite("/old/", "/new/");
        assert_eq!(inner.apply("/%7Ea/old/%ff"), "/%7Ea/new/%ff");
        assert_eq!(rewrite("^/a(.)z$", "/b${1}41").apply("/a%z"), "/b%%341");
        assert_eq!(rewrite("^/(.*)x", "/$1").apply("/%4xf"), "/%4%66");
        let strip = PathRewrite::StripPrefix(PathPrefix::parse("/api").unwrap());
        assert_eq!(strip.apply("/x/../api//%ff%2F"), "/%ff%2F");
        assert_eq!(strip.apply("/api/%ff"), "/%ff");
        assert_eq!(strip.apply("/api%2Fa%2Fb"), "/a%2Fb");
        assert_eq!(strip.apply("/x/../api"), "/");
    }
}
