//! The fields of a multipart body (RFC 7578), in every reading of the parsers that shops use.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// With or without padding, as mail clients write it.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The different readings of one text.
type TextReadings<T> = SmallVec<[T; 2]>;

/// The name and value of every field of a body, also of parts with a file name.
///
/// Parsers differ about the boundary, the end of a part, its name and the decoding of its value. A part is returned once for
/// each reading, so compare the values and do not count them. A part without a name has the name `""`. `content_type` must be
/// in its original case, because boundaries are compared with case.
pub(in crate::request) fn fields<'a>(
    content_type: &str,
    body: &'a [u8],
) -> impl Iterator<Item = (String, Cow<'a, str>)> {
    boundaries(content_type, body)
        .into_iter()
        .flat_map(move |boundary| part_ranges(&boundary, body))
        .filter_map(move |range| BodyPart::parse(&body[range]))
        .flat_map(|part| {
            let values = part.values();
            part.names().into_iter().flat_map(move |name| {
                let values = values.clone().into_iter();
                values.map(move |value| (name.clone(), value))
            })
        })
}

/// The boundaries that parsers may use, each once: from the parameter (PHP searches for the word, Rack takes the last one,
/// others parse), and from the first line that could be a delimiter, whatever the header says.
fn boundaries(content_type: &str, body: &[u8]) -> Vec<Vec<u8>> {
    let mentions = BoundaryMention::find_all(content_type);
    let readers: [fn(&BoundaryMention) -> bool; 4] = [
        |_| true,
        |mention| mention.is_parameter,
        |mention| mention.is_parameter && !mention.is_quoted,
        |mention| mention.is_lower_case,
    ];
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut add = |boundary: &[u8]| {
        if !boundary.is_empty() && !found.iter().any(|one| one == boundary) {
            found.push(boundary.to_vec());
        }
    };
    for reads in readers {
        let first = mentions.iter().find(|mention| reads(mention));
        let last = mentions.iter().rfind(|mention| reads(mention));
        for mention in first.into_iter().chain(last) {
            let behind = &content_type[mention.end..];
            for text in parameter_values(behind) {
                add(text.as_bytes());
            }
            let all = behind.trim().strip_prefix('=').unwrap_or_default();
            add(all.as_bytes());
        }
    }
    let first_line = body.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.trim_ascii_end().strip_prefix(b"--")?;
        Some(line.strip_suffix(b"--").unwrap_or(line))
    });
    add(first_line.unwrap_or_default());
    found
}

/// An occurrence of the word `boundary` in a header.
struct BoundaryMention {
    end: usize,
    is_parameter: bool,
    is_quoted: bool,
    is_lower_case: bool,
}

impl BoundaryMention {
    const WORD: &str = "boundary";

    fn find_all(header: &str) -> Vec<Self> {
        let lower = header.to_ascii_lowercase();
        let mentions = lower.match_indices(Self::WORD).map(|(start, word)| {
            let before = &header[..start];
            Self {
                end: start + word.len(),
                is_parameter: !before.ends_with(|end: char| end.is_ascii_alphanumeric()),
                is_quoted: before.matches('"').count() % 2 == 1,
                is_lower_case: header[start..].starts_with(Self::WORD),
            }
        });
        mentions.collect()
    }
}

/// The bytes between delimiters: for parsers that expect a delimiter at the beginning of a line, and, where that differs, for
/// those that find one anywhere (Django).
fn part_ranges(boundary: &[u8], body: &[u8]) -> Vec<Range<usize>> {
    let delimiter = [b"--", boundary].concat();
    let starts_line = |at: &usize| *at == 0 || body[*at - 1] == b'\n';
    let anywhere: Vec<usize> = memmem::find_iter(body, &delimiter).collect();
    let in_lines: Vec<usize> = anywhere.iter().copied().filter(starts_line).collect();
    let between = |places: &[usize]| -> Vec<Range<usize>> {
        let ends = places.iter().skip(1).copied().chain([body.len()]);
        let starts = places.iter().map(|start| start + delimiter.len());
        starts.zip(ends).map(|(start, end)| start..end).collect()
    };
    let mut ranges = between(&in_lines);
    if in_lines.len() < anywhere.len() {
        ranges.extend(between(&anywhere));
    }
    ranges
}

/// A part's headers, unfolded, and its content.
struct BodyPart<'a> {
    headers: Vec<(String, String)>,
    content: &'a [u8],
}

impl<'a> BodyPart<'a> {
    /// Parses what follows a delimiter: the rest of its line, header lines, an empty line, the content.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (_padding, mut rest) = split_line(bytes)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let (line, after) = split_line(rest)?;
            rest = after;
            if line.is_empty() {
                let content = rest.strip_suffix(b"\n").unwrap_or(rest);
                let content = content.strip_suffix(b"\r").unwrap_or(content);
                return Some(Self { headers, content });
            }
            let line = String::from_utf8_lossy(line);
            let is_continuation = line.starts_with([' ', '\t']);
            if let (true, Some((_, value))) = (is_continuation, headers.last_mut()) {
                value.push_str(&line);
            } else {
                let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    fn header<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        let called = move |(given, _): &&(String, String)| given.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(called)
            .map(|(_, value)| value.as_str())
    }

    /// The readings of its name. Rack takes the file name or the content id where there is no name.
    fn names(&self) -> TextReadings<String> {
        let mut proper = TextReadings::new();
        let mut other = TextReadings::new();
        for disposition in self.header("content-disposition") {
            let lower = disposition.to_ascii_lowercase();
            for (start, word) in lower.match_indices("name") {
                let is_proper = !disposition[..start].ends_with(|end: char| end.is_alphanumeric());
                let names = if is_proper { &mut proper } else { &mut other };
                names.extend(parameter_values(&disposition[start + word.len()..]));
            }
        }
        if proper.is_empty() {
            proper = other;
            proper.extend(self.header("content-id").map(str::to_owned));
        }
        if proper.is_empty() {
            proper.push(String::new());
        }
        let mut names = TextReadings::new();
        for name in proper {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The readings of its value: as it stands (PHP, busboy, Rack); with its transfer encoding decoded (Django, formidable,
    /// multiparty); and decoded from UTF-16 (busboy), where every letter of a token has a zero byte beside it.
    fn values(&self) -> TextReadings<Cow<'a, str>> {
        let mut values = TextReadings::new();
        values.push(String::from_utf8_lossy(self.content));
        for encoding in self.header("content-transfer-encoding") {
            let encoding = encoding.to_ascii_lowercase();
            let decoded = if encoding.contains("base64") {
                decode_base64(self.content)
            } else if encoding.contains("quoted-printable") {
                Some(decode_quoted_printable(self.content))
            } else {
                None
            };
            values.extend(decoded.map(|bytes| lossy_text(&bytes).into()));
        }
        if self.content.contains(&0) {
            let ascii = self.content.iter().filter(|byte| (1..128).contains(*byte));
            let ascii: Vec<u8> = ascii.copied().collect();
            values.push(lossy_text(&ascii).into());
        }
        values
    }
}

/// The line without its end, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// The readings of a parameter's value, from the text behind its name: quoted or not, up to each end that some parser knows,
/// encoded or not. Empty if this is not a parameter.
fn parameter_values(behind_name: &str) -> TextReadings<String> {
    let mut readings = TextReadings::new();
    // RFC 2231: `name*=charset'language'value`, and `name*0=`.
    let rest = behind_name.trim_start_matches(|c: char| c == '*' || c.is_ascii_digit());
    let Some(text) = rest.trim_start().strip_prefix('=') else {
        return readings;
    };
    let is_extended = behind_name.starts_with('*');
    let text = text.trim_start();
    let mut add = |reading: &str| {
        if !readings.iter().any(|one| one == reading) {
            readings.push(reading.to_owned());
        }
    };
    let mut add_decoded = |reading: &str| {
        add(reading);
        if reading.contains('%') {
            add(&percent_decode_str(reading).decode_utf8_lossy());
        }
        if let Some(word) = decode_encoded_word(reading) {
            add(&word);
        }
        if is_extended && let Some((_, value)) = reading.rsplit_once('\'') {
            add(&percent_decode_str(value).decode_utf8_lossy());
        }
    };
    if let Some(quote) = text.chars().next().filter(|first| "\"'".contains(*first)) {
        let (raw, unescaped) = read_quoted(&text[1..], quote);
        add_decoded(&raw);
        add_decoded(&unescaped);
    }
    let ends: [&[char]; 3] = [&[';', ',', ' ', '\t'], &[';', ','], &[';']];
    for end in ends {
        let reading = text.split(end).next().unwrap_or_default();
        add_decoded(reading.trim_end().trim_matches('"'));
    }
    readings
}

/// The text before the closing quote: with backslashes as they are, and with escapes decoded.
fn read_quoted(text: &str, quote: char) -> (String, String) {
    let mut raw = String::new();
    let mut unescaped = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        raw.push(letter);
        if letter == quote {
            raw.pop();
            break;
        }
        if letter == '\\'
            && let Some(escaped) = letters.next()
        {
            raw.push(escaped);
            unescaped.push(escaped);
        } else {
            unescaped.push(letter);
        }
    }
    (raw, unescaped)
}

/// RFC 2047: `=?charset?B?...?=` and `=?charset?Q?...?=`, which Apache Commons `FileUpload` decodes in names.
fn decode_encoded_word(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix("=?")?.strip_suffix("?=")?;
    let mut pieces = inner.splitn(3, '?');
    let (_charset, encoding, word) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let decoded = match encoding {
        "B" | "b" => decode_base64(word.as_bytes())?,
        "Q" | "q" => decode_quoted_printable(word.replace('_', " ").as_bytes()),
        _ => return None,
    };
    Some(lossy_text(&decoded))
}

/// Characters outside the base64 alphabet are ignored, as MIME demands.
fn decode_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_letter = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(*byte);
    let mut letters: Vec<u8> = bytes.iter().filter(is_letter).copied().collect();
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    LAX.decode(letters).ok()
}

fn decode_quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'=' {
            decoded.push(*byte);
        } else if let Some(line_end) = soft_line_end(after) {
            rest = &after[line_end..];
        } else if let Some(value) = after.get(..2).and_then(hex_value) {
            decoded.push(value);
            rest = &after[2..];
        } else {
            decoded.push(*byte);
        }
    }
    decoded
}

fn soft_line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] => Some(1),
        _ => None,
    }
}

fn hex_value(digits: &[u8]) -> Option<u8> {
    let digits = str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

fn lossy_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "multipart/form-data; boundary=b";

    fn found(content_type: &str, body: &str, name: &str) -> Vec<String> {
        fields(content_type, body.as_bytes())
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    fn body(disposition: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n--b--\r\n")
    }

    #[test]
    fn a_browsers_form_is_read_once() {
        let body = "------WebKitFormBoundaryX\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nT\r\n\
             ------WebKitFormBoundaryX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\nworld\r\n------WebKitFormBoundaryX--\r\n";
        let kind = "multipart/form-data; boundary=----WebKitFormBoundaryX";
        let fields: Vec<_> = fields(kind, body.as_bytes()).collect();
        assert_eq!(
            fields,
            [
                ("token".to_owned(), "T".into()),
                ("file".to_owned(), "hello\r\nworld".into())
            ]
        );
    }

    #[test]
    fn a_name_is_found_in_every_spelling() {
        for disposition in [
            "name=\"token\"",
            "name=token",
            "name='token'",
            "NAME=\"token\"",
            "name = \"token\"",
            "x=\"y\"; name=token; z",
            "name=\"other\"; name=\"token\"",
            "name=\"token\"; name=\"other\"",
            "filename=\"token\"",
            "filename=\"f\"; name=\"token\"",
            "name=\"f\\\"; name=token",
            "name=\"tok\\en\"",
            "name=\"tok%65n\"",
            "name*=utf-8''tok%65n",
            "name*0=token",
            "name=\"=?utf-8?B?dG9rZW4=?=\"",
            "name=\"=?utf-8?Q?tok=65n?=\"",
            "\r\n name=\"token\"",
        ] {
            let found = found(PLAIN, &body(disposition, "T"), "token");
            assert_eq!(found, ["T"], "{disposition}");
        }
        let by_id = "--b\nContent-ID: token\n\nT\n--b--";
        assert_eq!(found(PLAIN, by_id, "token"), ["T"]);
        assert_eq!(found(PLAIN, "--b\n\nT\n--b--", ""), ["T"]);
        assert!(found(PLAIN, &body("name=\"mytoken\"", "T"), "token").is_empty());
    }

    #[test]
    fn a_boundary_is_found_in_every_spelling() {
        let body = body("name=token", "T");
        for kind in [
            "multipart/form-data; boundary=\"b\"",
            "multipart/form-data;boundary=b; charset=utf-8",
            "multipart/form-data; boundary=b, x",
            "multipart/form-data; BOUNDARY = b",
            "multipart/form-data; boundary=b; boundary=c",
            "multipart/form-data; boundary=c; boundary=b",
            "multipart/form-data; x=\"; boundary=c\"; boundary=b; y=\"; boundary=d\"",
            "multipart/form-data; BOUNDARY=c; boundary=b; BOUNDARY=d",
            "multipart/form-data; xboundary=b; boundary=c; boundary=d",
            "multipart/form-data; boundary*=utf-8''%62",
            "multipart/form-data",
        ] {
            assert_eq!(found(kind, &body, "token"), ["T"], "{kind}");
            let disguised = format!("--preamble\r\n{body}");
            let hidden = found(kind, &disguised, "token");
            let is_named = kind.to_ascii_lowercase().contains("boundary");
            assert_eq!(hidden.iter().any(|value| value == "T"), is_named, "{kind}");
        }
    }

    #[test]
    fn lines_may_end_as_they_like() {
        for body in [
            "--b\ncontent-disposition: form-data; name=token\n\nT\n--b--\n",
            "preamble\r\n--b \t\r\nCONTENT-DISPOSITION : form-data; name=token\r\n\r\nT\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=token\r\n\r\nT",
            "--b--\r\n--b\r\nContent-Disposition: form-data; name=token\r\n\nT\r\n--b",
        ] {
            assert_eq!(found(PLAIN, body, "token"), ["T"], "{body}");
        }
    }

    #[test]
    fn a_value_is_found_in_every_encoding() {
        for (encoding, value) in [
            ("base64", "VG9rZW4="),
            ("Base64", "VG9r\r\nZW4"),
            ("quoted-printable", "Tok=65=\r\nn"),
        ] {
            let body = format!(
                "--b\r\nContent-Disposition: form-data; name=t\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{value}\r\n--b--"
            );
            let found = found(PLAIN, &body, "t");
            assert_eq!(found, [value, "Token"], "{encoding}");
        }
        let utf_16: Vec<u8> = "Token".bytes().flat_map(|byte| [byte, 0]).collect();
        let mut body = b"--b\r\nContent-Disposition: form-data; name=t\r\n\r\n\xff\xfe".to_vec();
        body.extend(utf_16);
        body.extend(b"\r\n--b--");
        assert!(fields(PLAIN, &body).any(|(_, value)| value == "Token"));
    }

    /// The sender chooses the boundary: it may be a piece of the token.
    #[test]
    fn a_token_that_holds_the_delimiter_is_found_whole() {
        let body = body("name=token", "eyJ--bXYZ");
        let found = found(PLAIN, &body, "token");
        assert_eq!(found, ["eyJ--bXYZ", "eyJ"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(kind in ".{0,60}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            fields(&kind, &body).for_each(drop);
        }

        /// Made of the pieces that parsers look for.
        #[test]
        fn nothing_panics_near_the_grammar(
            kind in "(multipart|;| |boundary|name|=|\"|'|\\*|0|b|%|\\\\|,|\u{e9}){0,20}",
            body in "(--|b|\r|\n|\r\n|Content-Disposition:|Content-Transfer-Encoding: base64|name|=|\"|'|\\*|%|\\\\|;| |=\\?|\\?|B|\u{e9}|\0){0,60}",
        ) {
            fields(&kind, body.as_bytes()).for_each(drop);
        }

        #[test]
        fn every_field_of_a_form_is_found_with_its_value(
            boundary in "[A-Za-z0-9'()+_./:=?-]{1,40}[A-Za-z0-9]",
            fields_sent in proptest::collection::vec(("[a-z_\\[\\]]{1,8}", "[ -~]{0,40}"), 0..6),
            line_end in "\r?\n",
            quote in "\"?",
            quoted_boundary in any::<bool>(),
        ) {
            let boundary_text = if quoted_boundary { format!("\"{boundary}\"") } else { boundary.clone() };
            let kind = format!("multipart/form-data; boundary={boundary_text}");
            let mut body = String::new();
            for (name, value) in &fields_sent {
                let _ = write!(body, "--{boundary}{line_end}Content-Disposition: form-data; name={quote}{name}{quote}{line_end}{line_end}{value}{line_end}");
            }
            let _ = write!(body, "--{boundary}--{line_end}");
            let read: Vec<_> = fields(&kind, body.as_bytes()).collect();
            for (name, value) in &fields_sent {
                prop_assert!(
                    read.iter().any(|(given, found)| given == name && found == value),
                    "{name}={value:?} is not in {read:?}"
                );
            }
        }
    }
}
