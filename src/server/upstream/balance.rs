//! Balancing: which of several servers a request goes to.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;
use http::header::COOKIE;
use http::request::Parts;

use super::server::UpstreamServer;

/// How requests are spread over the servers of a shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    Turn,
    /// To the one with the fewest requests in flight.
    Least,
    /// Requests with the same key go to the same server while it is there.
    Hash(HashBy),
}

/// The key of the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    Client,
    /// The value of a header; the client's address where there is none.
    Header(HeaderName),
    /// The value of a cookie; the client's address where there is none.
    Cookie(String),
}

impl Balance {
    /// One of these servers. `turn` is a number that grows by one with every request.
    pub(super) fn pick<'s>(
        &self,
        servers: &[&'s Arc<UpstreamServer>],
        turn: usize,
        head: &Parts,
        client: impl FnOnce() -> IpAddr,
    ) -> Option<&'s Arc<UpstreamServer>> {
        let first = turn.checked_rem(servers.len())?;
        match self {
            Self::Turn => servers.get(first),
            Self::Least => {
                let (before, after) = servers.split_at(first);
                let in_turn = after.iter().chain(before);
                in_turn.min_by_key(|server| server.in_flight())
            }
            Self::Hash(by) => {
                let key = by.key(head, client);
                servers.iter().max_by_key(|server| score(server, &key))
            }
        }
        .copied()
    }
}

/// Rendezvous hashing: each server has a score for the key, and the highest score wins. When a server comes or goes, only
/// its own keys move.
fn score(server: &UpstreamServer, key: &[u8]) -> [u8; blake3::OUT_LEN] {
    blake3::keyed_hash(&server.hash_key, key).into()
}

impl HashBy {
    fn key<'h>(&self, head: &'h Parts, client: impl FnOnce() -> IpAddr) -> Cow<'h, [u8]> {
        let value = match self {
            Self::Client => None,
            Self::Header(name) => head.headers.get(name).map(http::HeaderValue::as_bytes),
            Self::Cookie(name) => cookie(head, name.as_bytes()),
        };
        match value.filter(|value| !value.is_empty()) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(client().to_string().into_bytes()),
        }
    }
}

/// The value of the first cookie of this name (RFC 6265 section 5.4).
fn cookie<'h>(head: &'h Parts, name: &[u8]) -> Option<&'h [u8]> {
    let lines = head.headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii_start().strip_prefix(name)?;
        value.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Endpoint;
    use super::super::server::InFlightGuard;
    use super::*;

    fn servers(count: u8) -> Vec<Arc<UpstreamServer>> {
        let server = |number| {
            let endpoint = Endpoint::parse(&format!("10.0.0.{number}:80")).unwrap();
            let address = endpoint.literal().unwrap();
            Arc::new(UpstreamServer::new(endpoint, address))
        };
        (1..=count).map(server).collect()
    }

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn no_client() -> IpAddr {
        panic!("the address is not asked for")
    }

    fn pick(
        balance: &Balance,
        servers: &[&Arc<UpstreamServer>],
        turn: usize,
        cart: &str,
    ) -> String {
        let head = head(&[("x-cart", cart)]);
        let server = balance.pick(servers, turn, &head, no_client).unwrap();
        server.address.to_string()
    }

    #[test]
    fn every_server_has_its_turn() {
        let servers = servers(3);
        let servers: Vec<_> = servers.iter().collect();
        let picked = (7..13).map(|turn| pick(&Balance::Turn, &servers, turn, ""));
        let picked: Vec<_> = picked.collect();
        assert_eq!(picked[..3], picked[3..]);
        assert_eq!(picked[..3], ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.1:80"]);
    }

    #[test]
    fn the_one_with_the_fewest_requests_is_taken_and_equals_in_turn() {
        let owned = servers(3);
        let servers: Vec<_> = owned.iter().collect();
        let busy = [0, 0, 2].map(|at: usize| InFlightGuard::new(Arc::clone(&owned[at])));
        let least = |turn| pick(&Balance::Least, &servers, turn, "");
        for turn in 0..4 {
            assert_eq!(least(turn), "10.0.0.2:80");
        }
        drop(busy);
        let picked: Vec<_> = (0..3).map(least).collect();
        assert_eq!(picked, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    }

    #[test]
    fn where_a_server_goes_only_its_own_customers_move() {
        let owned = servers(5);
        let all: Vec<_> = owned.iter().collect();
        let fewer: Vec<_> = owned[1..].iter().collect();
        let by_cart = Balance::Hash(HashBy::Header(HeaderName::from_static("x-cart")));
        let mut moved = 0;
        for number in 0..1000 {
            let cart = format!("cart-{number}");
            let before = pick(&by_cart, &all, number, &cart);
            let after = pick(&by_cart, &fewer, number + 1, &cart);
            if before == "10.0.0.1:80" {
                moved += 1;
            } else {
                assert_eq!(before, after, "{cart}");
            }
        }
        assert!(
            (130..270).contains(&moved),
            "{moved} of 1000 were on one of 5"
        );
    }

    #[test]
    fn who_shows_no_key_is_known_by_the_address() {
        let by = HashBy::Cookie("cart".to_owned());
        let address = || IpAddr::from([192, 0, 2, 7]);
        let key = |cookies: &str| {
            let head = head(&[("cookie", cookies)]);
            String::from_utf8(by.key(&head, address).into_owned()).unwrap()
        };
        assert_eq!(key("a=1; cart=two; cart=three"), "two");
        assert_eq!(key("xcart=1; cart2=2; cart"), "192.0.2.7");
        assert_eq!(key("cart="), "192.0.2.7");
        assert_eq!(&*HashBy::Client.key(&head(&[]), address), b"192.0.2.7");
    }
}
