//! The cookies of a request as they were sent, for those that Doorward itself has set.

use http::HeaderMap;
use http::header::COOKIE;

/// The names and values of all cookies, without blanks around them.
pub(in crate::request) fn sent_pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(name_and_value)
}

/// The values of every cookie of this name, in their order (RFC 6265 section 5.4).
pub fn sent_values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let pairs = sent_pairs(headers);
    pairs.filter_map(move |(given, value)| (given == name.as_bytes()).then_some(value))
}

/// A line of cookies without those of these names. `None`: no other is in it.
pub fn without_sent<'n>(
    line: &[u8],
    names: &(impl Iterator<Item = &'n str> + Clone),
) -> Option<Vec<u8>> {
    let is_named = |pair: &&[u8]| {
        let given = name_and_value(pair).map(|(name, _)| name);
        given.is_some_and(|given| names.clone().any(|name| name.as_bytes() == given))
    };
    let pairs = line.split(|byte| *byte == b';');
    if !pairs.clone().any(|pair| is_named(&pair)) {
        return Some(line.to_vec());
    }
    let others = pairs.filter(|pair| !is_named(pair));
    let others: Vec<_> = others.map(<[u8]>::trim_ascii).collect();
    (!others.is_empty()).then(|| others.join(&b"; "[..]))
}

fn name_and_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at(equals);
    Some((name.trim_ascii(), value[1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_as_it_is() {
        for (line, left) in [
            ("a=b;c=d", Some("a=b;c=d")),
            ("side=x", None),
            ("side =x; a=b", Some("a=b")),
            ("a=b;side=x;c=\"d;", Some("a=b; c=\"d; ")),
            ("sides=x; Side=y", Some("sides=x; Side=y")),
            ("side", Some("side")),
        ] {
            let left = left.map(|left| left.as_bytes().to_vec());
            let names = ["side"].into_iter();
            assert_eq!(without_sent(line.as_bytes(), &names), left, "{line}");
        }
    }
}
