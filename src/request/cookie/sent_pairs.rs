//! The cookies of a request as they were sent, for those that Doorward itself has set.

use http::HeaderMap;
use http::header::COOKIE;

/// The values of every cookie of this name, in their order (RFC 6265 section 5.4).
pub fn sent_values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_in(pair, name))
}

/// A line of cookies without those of these names. `None`: no other is in it.
pub fn without_sent<'n>(
    line: &[u8],
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<Vec<u8>> {
    let is_named = |pair: &&[u8]| names.clone().any(|name| value_in(pair, name).is_some());
    let pairs = line.split(|byte| *byte == b';');
    let others = pairs.filter(|pair| !is_named(pair));
    let others: Vec<_> = others.map(<[u8]>::trim_ascii).collect();
    (!others.is_empty()).then(|| others.join(&b"; "[..]))
}

fn value_in<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let pair = pair.trim_ascii();
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}
