//! The cookies of a request, as the laxest server reads them (RFC 6265 section 5.4 and its predecessors).

use std::borrow::Cow;
use std::fmt;

use http::header::COOKIE;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::body_texts::strings_in;
use super::parameter::without_u;
use crate::request::calls::Request;
use crate::request::payload::is_called_by;

/// A name, or one with a single `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    head: String,
    tail: Option<String>,
}

/// A cookie of a request.
#[derive(Clone, Copy)]
pub(in crate::request) struct Cookie<'a> {
    /// Its name and its value, without spaces around.
    pub(in crate::request) name: &'a [u8],
    pub(in crate::request) value: &'a [u8],
    /// The segment between two semicolons that holds it.
    pub(super) segment: &'a [u8],
    /// Whether only servers see it that also split cookies at commas (RFC 2965 section 3.3.4) or white space (Python's
    /// `http.cookies`).
    pub(super) is_after_comma: bool,
}

/// The cookies of a request.
pub(in crate::request) fn cookies<'a>(request: &Request<'a>) -> impl Iterator<Item = Cookie<'a>> {
    let lines = request.head.headers.get_all(COOKIE).into_iter();
    let segments = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    segments.flat_map(|segment| {
        Cookie::parse(segment)
            .into_iter()
            .chain(Cookie::parse_after_separators(segment))
    })
}

/// How many further cookies are read in one segment.
const FURTHER_MAX: usize = 32;

impl<'a> Cookie<'a> {
    fn parse(segment: &'a [u8]) -> Option<Self> {
        let equals = memchr::memchr(b'=', segment)?;
        Some(Self {
            name: trim(&segment[..equals]),
            value: trim(&segment[equals + 1..]),
            segment,
            is_after_comma: false,
        })
    }

    /// The cookies behind a comma or white space. Their values end at the segment: [`value_readings`] shortens them.
    fn parse_after_separators(segment: &'a [u8]) -> impl Iterator<Item = Self> {
        let piece = segment.trim_ascii();
        let has_more = memchr::memchr3(b',', b' ', b'\t', piece).is_some();
        let ends = has_more.then(|| memchr::memchr_iter(b'=', piece));
        let ends = ends.into_iter().flatten().take(FURTHER_MAX);
        ends.filter_map(move |equals| {
            let before = piece[..equals].trim_ascii_end();
            let is_separator = |byte: &u8| b", \t".contains(byte);
            let separator = before.iter().rposition(is_separator)?;
            Some(Self {
                name: &before[separator + 1..],
                value: trim(&piece[equals + 1..]),
                segment,
                is_after_comma: true,
            })
        })
    }

    /// Its name, for people.
    pub(in crate::request) fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }
}

/// Without white space around, also that of Unicode and Latin-1.
fn trim(bytes: &[u8]) -> &[u8] {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_graphic(bytes.first()) && is_graphic(bytes.last()) {
        return bytes; // nearly always
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.trim().as_bytes();
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0x85 | 0xa0);
    let start = bytes.iter().position(|byte| !is_space(byte));
    let end = bytes.iter().rposition(|byte| !is_space(byte));
    start
        .zip(end)
        .map_or(&[], |(start, end)| &bytes[start..=end])
}

/// Which of several cookies with one name a server uses.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    /// The first one of exactly this name; of a pattern all, in the order of their names.
    First,
    /// The last one.
    Last,
    /// The first one, without case.
    FirstCaseless,
    /// The last one, without case, also behind a comma.
    LastCaseless,
}

impl Choice {
    /// All of them, the usual one first.
    pub(super) const ALL: [Self; 4] = [
        Self::First,
        Self::Last,
        Self::FirstCaseless,
        Self::LastCaseless,
    ];

    /// The cookies that are used.
    pub(super) fn cookies<'a>(self, name: &NamePattern, request: &Request<'a>) -> Vec<Cookie<'a>> {
        let fits = |cookie: &Cookie<'a>| match self {
            Self::First | Self::Last => !cookie.is_after_comma && name.matches(&cookie.name()),
            Self::FirstCaseless => !cookie.is_after_comma && name.matches_cookie(&cookie.name()),
            Self::LastCaseless => name.matches_cookie(&cookie.name()),
        };
        let mut found: Vec<_> = cookies(request).filter(fits).collect();
        if name.exact().is_none() {
            found.sort_by_key(|cookie| (cookie.name.len(), cookie.name));
            return found;
        }
        let one = match self {
            Self::First | Self::FirstCaseless => found.first(),
            Self::Last | Self::LastCaseless => found.last(),
        };
        one.copied().into_iter().collect()
    }
}

/// The readings of one value. The first is that of most servers: decoded, without balanced quotes.
pub(super) type CookieReadings<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// Every reading of a cookie's value, each once.
pub(super) fn value_readings(value: &[u8]) -> CookieReadings<'_> {
    let text = match String::from_utf8_lossy(value) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    let mut readings = CookieReadings::new();
    let has_space = text.starts_with('+') || text.ends_with('+'); // to PHP
    if !has_space && !text.contains(['%', ' ', '\t', '"', '\\', ',']) && !text.starts_with("j:") {
        readings.push(text);
        return readings;
    }
    let mut add = |reading: Cow<'_, str>| {
        // Databases do not compare white space at the end.
        for reading in [&*reading, reading.trim_matches('+')] {
            if !reading.is_empty() && !readings.iter().any(|known| known == reading) {
                readings.push(Cow::Owned(reading.to_owned()));
            }
        }
    };
    add(cookie_value(text.clone()));
    // PHP keeps the quotes and the backslashes.
    add(decoded(&text));
    if let Some(rest) = text.strip_prefix('"') {
        // `cookie` and `cookies` of npm take off the first byte and the last one, whatever that is.
        let mut letters = rest.chars();
        letters.next_back();
        add(decoded(letters.as_str()));
        // Python's and Java's parsers stop at the next quote.
        let quoted = rest.split('"').next().unwrap_or_default();
        add(decoded(&unescape(quoted)));
        add(decoded(quoted));
        if let Some(rest) = quoted.strip_suffix('\\') {
            add(decoded(&unescape(rest))); // it escapes nothing, and some parsers drop it
        }
    }
    let bare = text.trim_matches('"');
    add(decoded(bare));
    // Python's parser ends a value at white space, those of RFC 2109 at a comma, too.
    let word = bare.split([' ', '\t']).next().unwrap_or_default();
    add(decoded(word));
    let word = bare.split([' ', '\t', ',', '"']).next().unwrap_or_default();
    add(decoded(word));
    let twice = decoded(&decoded(bare)).into_owned();
    add(Cow::Owned(twice));
    // Express reads JSON behind `j:`.
    for string in strings_behind_j(&decoded(bare)) {
        add(Cow::Owned(string));
    }
    if text.contains('%') {
        // Old ASP knows another code.
        let plain = without_u(bare);
        add(decoded(&plain));
    }
    readings
}

fn strings_behind_j(text: &str) -> Vec<String> {
    let mut strings = Vec::new();
    if let Some(json) = text.strip_prefix("j:") {
        let take = |string: &str| -> Option<()> {
            strings.push(string.to_owned());
            None
        };
        let mut take = take;
        let _ = strings_in(json, 1, &mut take);
    }
    strings
}

/// The usual spelling of a cookie's value: shops decode values, so a revoked cookie must be found as `%41…`, too, and in quotes
/// as `\101…`. A space and a plus are the same letter, as in PHP.
pub(in crate::request) fn cookie_value(value: Cow<'_, str>) -> Cow<'_, str> {
    if !value.contains(['%', ' ', '"', '\\']) {
        return value;
    }
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let bare = quoted.map_or(value.to_string(), unescape);
    Cow::Owned(decoded(&bare).into_owned())
}

fn decoded(text: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    if decoded.contains(' ') {
        return Cow::Owned(decoded.replace(' ', "+"));
    }
    decoded
}

/// Decodes the escapes in quotes: `\"`, `\,` and `\101` (Python's cookies).
fn unescape(quoted: &str) -> String {
    let mut bare = Vec::with_capacity(quoted.len());
    let mut rest = quoted.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let octal = others.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let (byte, after) = match (first, octal, others) {
            (b'\\', Some(byte), _) => (byte, &others[3..]),
            (b'\\', None, [escaped, after @ ..]) => (*escaped, after),
            (_, _, _) => (*first, others),
        };
        bare.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bare).into_owned()
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        match &self.tail {
            Some(tail) => write!(f, "*{tail}"),
            None => Ok(()),
        }
    }
}

impl NamePattern {
    /// A name of visible characters with at most one `*`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a cookie's name, with at most one *";
        let (head, tail) = match text.split_once('*') {
            Some((head, tail)) => (head, Some(tail.to_owned())),
            None => (text, None),
        };
        let odd = |part: &str| !part.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || odd(text) || text.contains([';', ',', '=']) {
            return Err(WANTED);
        }
        if tail.as_deref().is_some_and(|tail| tail.contains('*')) {
            return Err(WANTED);
        }
        Ok(Self {
            head: head.to_owned(),
            tail,
        })
    }

    /// The name, where there is no `*` in it.
    pub fn exact(&self) -> Option<&str> {
        self.tail.is_none().then_some(self.head.as_str())
    }

    /// What `*` stands for in `name`.
    pub fn starred<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(&self.head)?;
        rest.strip_suffix(self.tail.as_deref()?)
    }

    /// Whether `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        match &self.tail {
            None => self.head == name,
            Some(_) => self.starred(name).is_some(),
        }
    }

    /// Whether `name` fits for a server that compares names without case, as ASP.NET does.
    fn matches_caseless(&self, name: &str) -> bool {
        let (name, head) = (name.as_bytes(), self.head.as_bytes());
        let Some(tail) = &self.tail else {
            return name.eq_ignore_ascii_case(head);
        };
        let tail = tail.as_bytes();
        name.len() >= head.len() + tail.len()
            && name[..head.len()].eq_ignore_ascii_case(head)
            && name[name.len() - tail.len()..].eq_ignore_ascii_case(tail)
    }

    /// Whether a cookie of that name fits, as sent, without case, or as PHP reads it.
    pub(super) fn matches_cookie(&self, name: &str) -> bool {
        if self.matches_caseless(name) {
            return true;
        }
        let is_odd = |byte| matches!(byte, b'%' | b'.' | b' ' | b'[' | b'+');
        if !name.bytes().any(is_odd) {
            return false;
        }
        let spaced = name.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
        is_called_by(&decoded, |one| self.matches_caseless(one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_the_reading_of_every_known_parser_attacks_a9() {
        for spelling in [
            "VALUE1",
            "\"VALUE1\"",
            "\"VALUE1x",
            "\"VALUE1",
            "VALUE1\"",
            "VALUE1,x",
            "VALUE1 x",
            "%56ALUE1",
            "\"\\126ALUE1\"",
            "%2556ALUE1",
            "\"VALUE1\"junk",
            "VALUE1%20",
            "%u0056ALUE1",
            "VALUE1 next=x",
            "%22VALUE1%22x",
        ] {
            let found = value_readings(spelling.as_bytes());
            let has = found
                .iter()
                .any(|one| one == "VALUE1" || one == "\"VALUE1\"x");
            assert!(has, "{spelling}: {found:?}");
        }
        assert_eq!(value_readings(b"plain+value").as_slice(), ["plain+value"]);
    }

    #[test]
    fn a_cookie_is_found_behind_every_separator_attacks_a9() {
        for segment in [
            "a=b,sid=V",
            "a=b sid=V",
            " a=b\tsid = V,c=d",
            "a=\"b\", sid=V",
        ] {
            let found: Vec<_> = Cookie::parse_after_separators(segment.as_bytes()).collect();
            let sid = found.iter().find(|one| one.name == b"sid").unwrap();
            assert!(
                value_readings(sid.value).iter().any(|one| one == "V"),
                "{segment}"
            );
        }
        for segment in ["sid=V", " sid=V ", " sid = V"] {
            let names =
                Cookie::parse_after_separators(segment.as_bytes()).map(|one| one.name.len());
            assert!(names.sum::<usize>() <= 3, "{segment}");
        }
    }

    #[test]
    fn names_are_compared_as_the_laxest_server_does() {
        let pattern = NamePattern::parse("session.id").unwrap();
        for name in ["session.id", "SESSION.ID", "session%2Eid"] {
            assert!(pattern.matches_cookie(name), "{name}");
        }
        let php = NamePattern::parse("session_id").unwrap();
        assert!(php.matches_cookie("session.id") && !php.matches_cookie("session"));
        let starred = NamePattern::parse("wordpress_*").unwrap();
        assert!(starred.matches_cookie("WordPress_abc") && !starred.matches_cookie("wordpres"));
    }
}
