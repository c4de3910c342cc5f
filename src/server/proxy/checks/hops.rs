//! How often a request has passed through a Doorward: one that comes back again and again is in a loop.

use http::HeaderMap;
use http::header::VIA;

use crate::server::proxy::forwarding::OWN_NAME;

/// How many Doorwards a request may have passed. A few in a row are legitimate, of one process also: a shop may stand behind
/// another one.
const HOPS_MAX: usize = 8;

/// Whether a request has passed through so many Doorwards that it must be in a loop (RFC 9110 section 7.6.3).
pub(crate) fn are_endless(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VIA).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let hops = lines.flat_map(|line| line.split(','));
    let ours = hops.filter(|hop| hop.split_ascii_whitespace().nth(1) == Some(OWN_NAME));
    ours.count() >= HOPS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_endless_in(lines: &[String]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(VIA, line.parse().unwrap());
        }
        are_endless(&headers)
    }

    #[test]
    fn only_doorwards_count_however_their_lines_are_joined() {
        let hop = |count| vec!["1.1 doorward".to_owned(); count];
        assert!(!are_endless_in(&hop(HOPS_MAX - 1)));
        assert!(are_endless_in(&hop(HOPS_MAX)));
        assert!(are_endless_in(&[hop(HOPS_MAX).join(", ")]));
        assert!(are_endless_in(&[
            hop(HOPS_MAX).join(", 1.1 varnish (x) ,\t")
        ]));
        assert!(!are_endless_in(&vec!["1.1 varnish".to_owned(); 20]));
        assert!(!are_endless_in(&vec!["1.1 other-doorward".to_owned(); 20]));
        assert!(!are_endless_in(&vec!["doorward".to_owned(); 20]));
    }
}
