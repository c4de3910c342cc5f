//! Segments of paths: those that a rule names, with wildcards, and those of a request.

use std::fmt;

use super::path::PathStyle;

/// What a server may ignore in a path. For any rule: a front controller before it (`/index.php/…`), white space behind it, and
/// what stands beside a segment between commas, as in a batch of tRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) enum Leniency {
    /// For routes, also the suffix `.json` or `.xml`. Other suffixes are other pages, such as `/cart.js`.
    Page,
    /// For calls, also any suffix of the last segment (Rails: `(.:format)`).
    Call,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A name.
    Name(String),
    /// Any segment.
    Any,
    /// The parts of a name between stars.
    Parts(Vec<String>),
    /// A token between these letters.
    Token { before: String, after: String },
}

/// How a segment of a rule begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) enum SegmentStart<'p> {
    /// It is this name.
    Name(&'p str),
    /// It begins so; perhaps with nothing.
    Begin(&'p str),
}

/// The placeholder of the token in a path.
const TOKEN: &str = "{token}";

/// The longest suffix that counts as a format.
const FORMAT_BYTES_MAX: usize = 8;

/// As it is written.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Any => f.write_str("*"),
            Self::Parts(parts) => f.write_str(&parts.join("*")),
            Self::Token { before, after } => write!(f, "{before}{TOKEN}{after}"),
        }
    }
}

impl Segment {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some((before, after)) = text.split_once(TOKEN) {
            if before.contains(['{', '}', '*']) || after.contains(['{', '}', '*']) {
                return Err("a segment with one {token}, and no other wildcard beside it");
            }
            return Ok(Self::Token {
                before: before.to_owned(),
                after: after.to_owned(),
            });
        }
        if text.contains(['{', '}']) {
            return Err("a path in which only {token} stands in braces");
        }
        if text.contains("**") {
            return Err("a path in which no two stars stand together");
        }
        Ok(match text {
            "*" => Self::Any,
            _ if text.contains('*') => Self::Parts(text.split('*').map(str::to_owned).collect()),
            _ => Self::Name(text.to_owned()),
        })
    }

    pub(super) fn start(&self) -> SegmentStart<'_> {
        match self {
            Self::Name(name) => SegmentStart::Name(name),
            Self::Any => SegmentStart::Begin(""),
            Self::Parts(parts) => SegmentStart::Begin(parts.first().map_or("", String::as_str)),
            Self::Token { before, .. } => SegmentStart::Begin(before),
        }
    }

    /// Whether every segment that another one means is meant here.
    pub(super) fn covers(&self, other: &Self) -> bool {
        *self == Self::Any || self == other
    }

    /// Whether both could mean the same segment, in any case.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let style = PathStyle {
            ignore_case: true,
            ..PathStyle::default()
        };
        match (self, other) {
            (one, Self::Name(name)) | (Self::Name(name), one) => one.matches_exactly(name, style),
            (Self::Any | Self::Parts(_) | Self::Token { .. }, _) => true,
        }
    }

    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Token { .. })
    }

    /// Whether it matches a segment exactly.
    pub(super) fn matches_exactly(&self, give: &str, style: PathStyle) -> bool {
        match self {
            Self::Name(name) if style.ignore_case => name.eq_ignore_ascii_case(give),
            Self::Name(name) => name == give,
            Self::Any => !give.is_empty(),
            Self::Parts(parts) => !give.is_empty() && has_parts(parts, give, style),
            Self::Token { .. } => self.token(give, style).is_some(),
        }
    }

    /// Whether it matches a segment for a lenient server.
    pub(super) fn matches_leniently(
        &self,
        give: &str,
        style: PathStyle,
        leniency: Leniency,
        is_last: bool,
    ) -> bool {
        let is = |one: &str| {
            let stem = || leniency.without_format(one);
            self.matches_exactly(one, style)
                || is_last && stem().is_some_and(|stem| self.matches_exactly(stem, style))
        };
        is(give) || give.contains(',') && give.split(',').any(is)
    }

    /// The token in a segment.
    pub(super) fn token<'p>(&self, give: &'p str, style: PathStyle) -> Option<&'p str> {
        let Self::Token { before, after } = self else {
            return None;
        };
        let rest = strip_start(before, give, style)?;
        let end = rest.len().checked_sub(after.len())?;
        let (token, end) = rest.split_at_checked(end)?;
        let ends = strip_start(after, end, style).is_some();
        (ends && !token.is_empty()).then_some(token)
    }
}

impl Leniency {
    /// A segment without its format.
    pub(in crate::request) fn without_format(self, segment: &str) -> Option<&str> {
        let (stem, format) = segment.rsplit_once('.')?;
        let is_format = match self {
            Self::Page => ["json", "xml"]
                .iter()
                .any(|one| format.eq_ignore_ascii_case(one)),
            Self::Call => {
                let length = 1..=FORMAT_BYTES_MAX;
                length.contains(&format.len())
                    && format.bytes().all(|one| one.is_ascii_alphanumeric())
            }
        };
        (is_format && !stem.is_empty()).then_some(stem)
    }
}

/// The remaining segments of a path.
#[derive(Clone)]
pub(super) struct PathSegments<'p>(Option<&'p str>);

impl<'p> Iterator for PathSegments<'p> {
    type Item = &'p str;

    /// Byte by byte, because segments are short and every path is split many times.
    fn next(&mut self) -> Option<&'p str> {
        let rest = self.0?;
        let slash = rest.bytes().position(|byte| byte == b'/');
        let (piece, rest) = match slash {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.0 = rest;
        Some(piece)
    }
}

/// The segments of a path without its first slash; the root has none.
pub(super) fn segments_of(path: &str) -> PathSegments<'_> {
    PathSegments((!path.is_empty()).then_some(path))
}

/// Whether a segment holds these parts in order, the first at its start and the last at its end.
fn has_parts(parts: &[String], give: &str, style: PathStyle) -> bool {
    let [first, middle @ .., last] = parts else {
        return false;
    };
    let Some(mut rest) = strip_start(first, give, style) else {
        return false;
    };
    for part in middle {
        let mut places = rest.char_indices().map(|(at, _)| at);
        let found = places.find_map(|at| strip_start(part, &rest[at..], style));
        let Some(found) = found else {
            return false;
        };
        rest = found;
    }
    let end = rest.len().checked_sub(last.len());
    let end = end.and_then(|end| rest.get(end..));
    end.is_some_and(|end| strip_start(last, end, style).is_some())
}

/// A text without this start; `None`: it starts differently.
fn strip_start<'p>(begin: &str, text: &'p str, style: PathStyle) -> Option<&'p str> {
    let (head, rest) = text.split_at_checked(begin.len())?;
    let fits = head == begin || style.ignore_case && head.eq_ignore_ascii_case(begin);
    fits.then_some(rest)
}

/// Whether servers cut a letter off the end of a path: white space, line ends, and invisible letters.
pub(in crate::request) fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || matches!(letter, '\u{200b}' | '\u{feff}')
}

/// Whether a segment is a PHP script, which gets the rest of the path as `PATH_INFO`.
pub(in crate::request) fn is_front_controller(segment: &str) -> bool {
    let stem = segment.len().checked_sub(".php".len());
    let end = stem.filter(|stem| *stem > 0);
    let end = end.and_then(|stem| segment.get(stem..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(".php"))
}
