//! The path that an upstream is sent in the place of the customer's.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use regex::Regex;

use crate::request::calls::Path;

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
    to: String,
}

/// Why a rewrite can't be used.
#[derive(Debug)]
pub enum UnfitRewrite {
    /// The prefix is no folder.
    Prefix,
    /// The pattern is no regular expression; its own words.
    Pattern(regex::Error),
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

    /// A path without it, the rest as it was sent; where dot segments or doubled slashes would lead somewhere else without
    /// the folder before them, as it was judged. A path that does not stand in the folder stays as it is.
    fn strip<'p>(&self, raw: &'p str) -> Cow<'p, str> {
        let path = Path::parse(raw);
        let Some(judged) = strip_names(path.normal(), &self.0, |given, name| given == name) else {
            return Cow::Borrowed(raw);
        };
        match strip_names(raw, &self.0, is_written_so) {
            Some(rest) if Path::parse(rest).normal() == judged => Cow::Borrowed(rest),
            Some(_) | None => Cow::Owned(encoded(judged)),
        }
    }
}

impl PathReplacement {
    /// Reads a pattern, whose groups `to` names as `$1` or `${name}`. Matching takes time in the length of the path only.
    pub fn parse(pattern: &str, to: &str) -> Result<Self, UnfitRewrite> {
        let pattern = regex::RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(UnfitRewrite::Pattern)?;
        let known = |name: &str| match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|one| one == name),
        };
        match groups_of(to).find(|name| !known(name)) {
            Some(unknown) => Err(UnfitRewrite::Group(unknown.to_owned())),
            None => Ok(Self {
                pattern,
                to: to.to_owned(),
            }),
        }
    }

    fn apply<'p>(&self, raw: &'p str) -> Cow<'p, str> {
        let path = Path::parse(raw);
        match self.pattern.replace(path.normal(), self.to.as_str()) {
            Cow::Borrowed(_) => Cow::Borrowed(raw),
            Cow::Owned(replaced) => {
                let path = replaced.trim_start_matches(['/', '\\']);
                Cow::Owned(format!("/{}", encoded(path)))
            }
        }
    }
}

/// What is left behind these segments: it begins with a slash, or is the root.
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
    is_plain.then_some(if rest.is_empty() { "/" } else { rest })
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

/// The groups that a replacement names, as the `regex` crate reads it.
fn groups_of(to: &str) -> impl Iterator<Item = &str> {
    let mut rest = to;
    std::iter::from_fn(move || {
        loop {
            let (_, behind) = rest.split_once('$')?;
            if let Some(escaped) = behind.strip_prefix('$') {
                rest = escaped;
                continue;
            }
            if let Some(braced) = behind.strip_prefix('{') {
                let (name, behind) = braced.split_once('}')?;
                rest = behind;
                return Some(name);
            }
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let end = behind
                .find(|letter| !is_name(letter))
                .unwrap_or(behind.len());
            let (name, behind) = behind.split_at(end);
            rest = behind;
            if !name.is_empty() {
                return Some(name);
            }
        }
    })
}

impl fmt::Display for UnfitRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => {
                f.write_str("expected a folder such as /api, without a slash at the end")
            }
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
        assert_eq!(rewrite("/$", "/a?b#c").apply("/x/"), "/x/a%3Fb%23c");
        assert!(PathReplacement::parse("(", "").is_err());
        for to in ["$1", "${name}", "/x/$2a"] {
            let unfit = PathReplacement::parse("^/x", to).unwrap_err();
            assert!(matches!(unfit, UnfitRewrite::Group(_)), "{to}");
        }
        assert!(PathReplacement::parse("^/(a)", "/$1/$$2").is_ok());
    }
}
