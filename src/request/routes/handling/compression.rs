//! Which answers are compressed.

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRAILER,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::media_pattern::MediaPattern;

/// Which answers are compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    /// Those of these types.
    pub types: Vec<MediaPattern>,
    /// Those of this length, and of a length that is not known.
    pub size_min: u64,
    /// How much effort is made, from 1 to 9; `None`: each coding's own for answers that are made on the way.
    pub level: Option<u8>,
}

/// Headers with a digest of the content as it is sent (RFC 9530 and its predecessors).
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

impl Compression {
    /// The types where nothing else is said: text, in the wide sense.
    pub const USUAL_TYPES: [&'static str; 12] = [
        "text/*",
        "application/json",
        "application/*+json",
        "application/javascript",
        "application/xml",
        "application/*+xml",
        "application/wasm",
        "application/graphql",
        "application/x-javascript",
        "application/vnd.ms-fontobject",
        "image/svg+xml",
        "font/*tf",
    ];

    /// The length where nothing else is said.
    pub const USUAL_SIZE_MIN: u64 = 1024;

    /// Whether an answer would be compressed for a client that accepts a coding.
    ///
    /// A part of a representation stays as it is, and so does what has a coding, a digest or trailers, or must not be transformed
    /// (RFC 9110 section 7.7).
    pub fn fits(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let is_bare = matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        );
        let value = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let is_plain = value(&CONTENT_ENCODING)
            .is_none_or(|coding| coding.trim().eq_ignore_ascii_case("identity"))
            && headers.get_all(CONTENT_ENCODING).iter().count() <= 1;
        let length = value(&CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let kind = value(&CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        !status.is_informational()
            && !is_bare
            && is_plain
            && !headers.contains_key(CONTENT_RANGE)
            && !headers.contains_key(TRAILER)
            && !DIGESTS.iter().any(|name| headers.contains_key(*name))
            && !must_stay(headers)
            && length.is_none_or(|length| length > 0 && length >= self.size_min)
            && self.types.iter().any(|pattern| pattern.means(kind))
    }
}

/// Whether `Cache-Control` says `no-transform` (RFC 9111 section 5.2.2.6).
fn must_stay(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let mut words = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("no-transform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(status: u16, lines: &[(&'static str, &str)]) -> bool {
        let types = Compression::USUAL_TYPES.iter();
        let compression = Compression {
            types: types
                .map(|text| MediaPattern::parse(text).unwrap())
                .collect(),
            size_min: Compression::USUAL_SIZE_MIN,
            level: None,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        compression.fits(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn text_of_some_length_is_compressed_and_nothing_else() {
        let html = ("content-type", "text/html; charset=utf-8");
        for lines in [
            vec![html],
            vec![html, ("content-length", "1024")],
            vec![html, ("content-encoding", "identity")],
            vec![("content-type", "application/problem+json")],
            vec![("content-type", "font/ttf")],
            vec![html, ("cache-control", "public, max-age=5")],
        ] {
            assert!(fits(200, &lines) && fits(404, &lines), "{lines:?}");
        }
        for lines in [
            vec![],
            vec![("content-type", "image/png")],
            vec![("content-type", "application/zip")],
            vec![html, ("content-length", "1023")],
            vec![html, ("content-encoding", "gzip")],
            vec![
                html,
                ("content-encoding", "identity"),
                ("content-encoding", "br"),
            ],
            vec![html, ("cache-control", "public, No-Transform")],
            vec![html, ("content-range", "bytes 0-1/2")],
            vec![html, ("repr-digest", "sha-256=:x:")],
            vec![html, ("trailer", "x-checksum")],
        ] {
            assert!(!fits(200, &lines), "{lines:?}");
        }
        for status in [101, 103, 204, 205, 206, 304] {
            assert!(!fits(status, &[html]), "{status}");
        }
    }
}
