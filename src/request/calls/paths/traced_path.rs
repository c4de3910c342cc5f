//! The normalised path of a request, and which bytes of the request each of its letters was.

use std::borrow::Cow;
use std::ops::Range;

use super::path::is_plain;

/// The normalised path of a request, of which every part can be sent on as it came.
#[derive(Debug)]
pub(in crate::request) struct TracedPath<'a> {
    /// As it was sent.
    raw: &'a str,
    /// As it is matched: the text of [`Path::normal`](super::Path::normal).
    normal: Cow<'a, str>,
    /// Where the letters of `normal` begin and what they were; empty where both are the same.
    letters: Vec<(usize, TracedChar)>,
}

/// A decoded letter and the bytes that it was sent as. What is no UTF-8 counts as one letter, U+FFFD.
#[derive(Clone, Debug)]
struct TracedChar {
    letter: char,
    raw: Range<usize>,
}

/// A segment, and the slash before it.
#[derive(Debug, Default)]
struct TracedSegment {
    slash: Option<TracedChar>,
    name: Vec<TracedChar>,
}

impl<'a> TracedPath<'a> {
    /// Reads the path of a request target.
    pub(in crate::request) fn parse(raw: &'a str) -> Self {
        if is_plain(raw) {
            return Self {
                raw,
                normal: Cow::Borrowed(raw),
                letters: Vec::new(),
            };
        }
        let mut normal = String::new();
        let mut letters = Vec::new();
        for letter in kept(segments_of(decoded(raw))) {
            letters.push((normal.len(), letter.clone()));
            normal.push(letter.letter);
        }
        Self {
            raw,
            normal: Cow::Owned(normal),
            letters,
        }
    }

    /// The normalised path.
    pub(in crate::request) fn normal(&self) -> &str {
        &self.normal
    }

    /// Writes what a part of the normalised path was sent as, with the `;params` of its segments.
    pub(in crate::request) fn write_raw(&self, part: Range<usize>, to: &mut String) {
        if self.letters.is_empty() {
            to.push_str(self.raw.get(part).unwrap_or_default());
            return;
        }
        let behind = self.letters.iter().skip_while(|(at, _)| *at < part.start);
        for (_, letter) in behind.take_while(|(at, _)| *at < part.end) {
            to.push_str(self.raw.get(letter.raw.clone()).unwrap_or_default());
        }
    }
}

/// The letters of a path.
fn decoded(raw: &str) -> Vec<TracedChar> {
    let (mut bytes, mut starts) = (Vec::new(), Vec::new());
    let mut rest = raw.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        starts.push(raw.len() - rest.len());
        let escaped = behind.first_chunk::<2>().filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?));
        bytes.push(escaped.unwrap_or(*byte));
        rest = escaped.map_or(behind, |_| &behind[2..]);
    }
    starts.push(raw.len());
    let (mut letters, mut at) = (Vec::new(), 0);
    let mut take = |letter: char, length: usize| {
        let raw = starts[at]..starts[at + length];
        letters.push(TracedChar { letter, raw });
        at += length;
    };
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            take(letter, letter.len_utf8());
        }
        if !chunk.invalid().is_empty() {
            take(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        }
    }
    letters
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// The segments of a path. The bytes of `;params` belong to the last letter before them.
fn segments_of(letters: Vec<TracedChar>) -> Vec<TracedSegment> {
    let mut segments = vec![TracedSegment::default()];
    let mut is_param = false;
    for letter in letters {
        let Some(segment) = segments.last_mut() else {
            break;
        };
        is_param = letter.letter == ';' || is_param && letter.letter != '/';
        if letter.letter == '/' {
            segments.push(TracedSegment {
                slash: Some(letter),
                name: Vec::new(),
            });
        } else if is_param {
            if let Some(last) = segment.name.last_mut() {
                last.raw.end = letter.raw.end;
            }
        } else {
            segment.name.push(letter);
        }
    }
    segments
}

/// The letters that are left without doubled slashes and dot segments (as in [`collapse`](super::path::collapse)).
fn kept(segments: Vec<TracedSegment>) -> Vec<TracedChar> {
    let mut stack: Vec<TracedSegment> = Vec::new();
    let mut folder: Option<TracedChar> = None;
    for mut segment in segments {
        let name: Vec<char> = segment.name.iter().map(|one| one.letter).collect();
        match name.as_slice() {
            [] | ['.'] => folder = segment.slash,
            ['.', '.'] => {
                stack.pop();
                folder = segment.slash;
            }
            [..] => {
                // Of doubled slashes one that was not encoded is kept.
                let bare = folder.take().filter(|slash| slash.raw.len() == 1);
                segment.slash = bare.or(segment.slash).or(Some(TracedChar::SLASH));
                stack.push(segment);
            }
        }
    }
    if stack.is_empty() {
        folder.get_or_insert(TracedChar::SLASH);
    }
    let letters = |segment: TracedSegment| segment.slash.into_iter().chain(segment.name);
    stack.into_iter().flat_map(letters).chain(folder).collect()
}

impl TracedChar {
    /// One that was not sent.
    const SLASH: Self = Self {
        letter: '/',
        raw: 0..0,
    };
}

#[cfg(test)]
mod tests {
    use super::super::path::Path;
    use super::*;
    use proptest::prelude::*;

    fn raw_of(raw: &str) -> String {
        let path = TracedPath::parse(raw);
        let mut sent = String::new();
        path.write_raw(0..path.normal().len(), &mut sent);
        sent
    }

    #[test]
    fn what_is_kept_is_kept_as_it_was_sent() {
        for (raw, sent) in [
            ("/a/b", "/a/b"),
            ("/a%2Fb%0a/%ff%C3%A9%e2%82", "/a%2Fb%0a/%ff%C3%A9%e2%82"),
            ("/a;x=1/b;y%2f", "/a;x=1/b;y%2f"),
            ("/100%/%4/%zz%", "/100%/%4/%zz%"),
            ("/x/../a//b/./c/", "/a/b/c/"),
            ("/a/%2Fb%2F/c", "/a/b/c"),
            ("/%2e%2e/a/%2e", "/a/"),
            ("/..", "/"),
        ] {
            assert_eq!(raw_of(raw), sent, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_path_that_is_judged(raw in "/([a-z.]|[%/;.]|%2[ef]|%(ff|c3|a9|e2|82|0a|3b|25)){0,24}") {
            let path = TracedPath::parse(&raw);
            let judged = Path::parse(&raw);
            prop_assert_eq!(path.normal(), judged.normal());
            // What was sent of the kept letters is read as these letters again.
            let sent = raw_of(&raw);
            let again = Path::parse(&sent);
            prop_assert_eq!(again.normal(), judged.normal());
        }

        #[test]
        fn no_path_panics_when_it_is_traced(raw in "\\PC{0,40}") {
            prop_assert!(raw_of(&raw).is_empty() || TracedPath::parse(&raw).normal().starts_with('/'));
        }
    }
}
