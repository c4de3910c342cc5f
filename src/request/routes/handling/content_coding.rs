//! The content coding of an answer, as the client would have it.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::request::answers::{Weight, weight_in};

/// A content coding that answers are compressed with. Of those that a client likes best equally, the first is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl ContentCoding {
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As headers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The one that a client likes best. `None`: it likes none, or none better than a plain answer.
    ///
    /// A client that does not say what it accepts gets a plain answer, and one that accepts everything gets the oldest coding.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        let items = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
        let items: Vec<_> = items.filter_map(read_item).collect();
        let weight_of = |name: &str| {
            let mut named = items.iter();
            let named = named.find(|(known, _)| known.eq_ignore_ascii_case(name));
            named.map(|(_, weight)| *weight)
        };
        let plain = weight_of("identity").unwrap_or_default();
        let of_coding = |coding: &Self| match coding {
            Self::Zstd | Self::Brotli => weight_of(coding.name()),
            Self::Gzip => weight_of("gzip")
                .or_else(|| weight_of("x-gzip"))
                .or_else(|| weight_of("*")),
        };
        let mut best: Option<(Self, Weight)> = None;
        for coding in Self::ALL {
            let weight = of_coding(&coding).unwrap_or_default();
            if weight > best.map_or(0, |(_, most)| most) {
                best = Some((coding, weight));
            }
        }
        best.filter(|(_, weight)| *weight >= plain)
            .map(|(coding, _)| coding)
    }
}

/// A coding and its weight.
fn read_item(item: &str) -> Option<(&str, Weight)> {
    let mut parts = item.split(';');
    let name = parts.next()?.trim();
    (!name.is_empty()).then(|| (name, weight_in(parts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(lines: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, line.parse().unwrap());
        }
        ContentCoding::accepted(&headers).map(ContentCoding::name)
    }

    #[test]
    fn the_client_says_which_coding_it_likes_best() {
        for (lines, coding) in [
            (vec![], None),
            (vec![""], None),
            (vec!["gzip, deflate, br, zstd"], Some("zstd")),
            (vec!["gzip, deflate, br"], Some("br")),
            (vec!["gzip;q=1.0, br;q=0.9"], Some("gzip")),
            (vec!["GZIP"], Some("gzip")),
            (vec!["x-gzip"], Some("gzip")),
            (vec!["deflate"], None),
            (vec!["identity"], None),
            (vec!["gzip;q=0"], None),
            (vec!["gzip;q=0, *"], None),
            (vec!["*"], Some("gzip")),
            (vec!["*;q=0"], None),
            (vec!["identity, gzip;q=0.5"], None),
            (vec!["identity;q=0, gzip;q=0.1"], Some("gzip")),
            (vec!["gzip;q=0.3", "br;q=0.4"], Some("br")),
            (vec!["br;q=2", "gzip;q=0.0004"], None),
            (vec!["br ; Q=0.5 , gzip"], Some("gzip")),
        ] {
            assert_eq!(accepted(&lines), coding, "{lines:?}");
        }
    }
}
