//! Balancing: which of several servers a request goes to.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderName;
use http::request::Parts;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::server::UpstreamServer;
use crate::request::sent_values;

/// How requests are spread over the servers of a shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    Turn,
    /// To the one with the fewest requests in flight for its weight.
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

/// A server that a request may go to, and its weight among the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'s> {
    pub(super) server: &'s Arc<UpstreamServer>,
    pub(super) weight: u32,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct SmoothRoundRobin {
    next: AtomicUsize,
    /// Held while credits are moved.
    weighing: Mutex<()>,
}

/// A request that takes its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'t> {
    pub(super) turns: &'t SmoothRoundRobin,
    pub(super) attempt: ServerAttempt,
}

/// Whether a request looks for its first server. It has one turn: if each attempt took one, of two servers the one that is
/// down would be tried first every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerAttempt {
    First,
    /// The servers that it was at before are no candidates.
    Again,
}

impl Balance {
    /// One of these servers.
    pub(super) fn pick<'s>(
        &self,
        candidates: &[Candidate<'s>],
        turn: Turn<'_>,
        head: &Parts,
        client: impl FnOnce() -> IpAddr,
    ) -> Option<&'s Arc<UpstreamServer>> {
        match self {
            Self::Turn => turn.next(candidates),
            Self::Least => turn.next(&least_busy(candidates)),
            Self::Hash(by) => {
                let key = by.key(head, client);
                let scored = candidates.iter().map(|one| (score(*one, &key), one.server));
                let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
                best.map(|(_, server)| server)
            }
        }
    }
}

impl Turn<'_> {
    /// Servers of equal weight one after the other; others as often as their weights say, and as evenly as that allows (nginx's
    /// smooth weighted round-robin).
    fn next<'s>(&self, candidates: &[Candidate<'s>]) -> Option<&'s Arc<UpstreamServer>> {
        let weight = candidates.first()?.weight;
        if candidates.iter().all(|one| one.weight == weight) {
            let next = &self.turns.next;
            let turn = match self.attempt {
                ServerAttempt::First => next.fetch_add(1, Ordering::Relaxed),
                ServerAttempt::Again => next.load(Ordering::Relaxed),
            };
            let next = candidates.get(turn.checked_rem(candidates.len())?)?;
            return Some(next.server);
        }
        let _one_at_a_time = self.turns.weighing.lock();
        let mut total = 0;
        for one in candidates {
            total += i64::from(one.weight);
            let credit = &one.server.credit;
            credit.fetch_add(i64::from(one.weight), Ordering::Relaxed);
        }
        let in_order = candidates.iter().rev(); // of equals the first
        let next = in_order.max_by_key(|one| one.server.credit.load(Ordering::Relaxed))?;
        next.server.credit.fetch_sub(total, Ordering::Relaxed);
        Some(next.server)
    }
}

/// Those with the fewest requests in flight for their weight.
fn least_busy<'s>(candidates: &[Candidate<'s>]) -> SmallVec<[Candidate<'s>; 8]> {
    let mut least: SmallVec<[Candidate<'s>; 8]> = SmallVec::new();
    let mut fewest = (0_u64, 1_u64);
    for one in candidates {
        let (in_flight, weight) = (load(one.server), u64::from(one.weight));
        let (fewest_in_flight, fewest_weight) = fewest;
        // in_flight / weight against the fewest so far, without a division
        let ours = in_flight.saturating_mul(fewest_weight);
        let theirs = fewest_in_flight.saturating_mul(weight);
        if least.is_empty() || ours < theirs {
            least.clear();
            fewest = (in_flight, weight);
        } else if ours > theirs {
            continue;
        }
        least.push(*one);
    }
    least
}

fn load(server: &UpstreamServer) -> u64 {
    u64::try_from(server.in_flight()).unwrap_or(u64::MAX)
}

/// Weighted rendezvous hashing: each server has a score for the key, and the highest score wins. When a server comes or goes, or
/// its weight changes, only its own keys move.
fn score(candidate: Candidate<'_>, key: &[u8]) -> f64 {
    let hash = blake3::keyed_hash(&candidate.server.hash_key, key);
    let [high, low] = [0, 4].map(|at| {
        let mut four = [0; 4];
        let bytes = hash.as_bytes().iter().skip(at);
        four.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        f64::from(u32::from_be_bytes(four))
    });
    let span = f64::from(u32::MAX) + 1.0;
    let between_0_and_1 = (high + (low + 0.5) / span) / span;
    f64::from(candidate.weight) / -between_0_and_1.ln()
}

impl HashBy {
    fn key<'h>(&self, head: &'h Parts, client: impl FnOnce() -> IpAddr) -> Cow<'h, [u8]> {
        let value = match self {
            Self::Client => None,
            Self::Header(name) => head.headers.get(name).map(http::HeaderValue::as_bytes),
            Self::Cookie(name) => sent_values(&head.headers, name).next(),
        };
        match value.filter(|value| !value.is_empty()) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(client().to_string().into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Each with its weight.
    fn weighted<'s>(servers: &'s [Arc<UpstreamServer>], weights: &[u32]) -> Vec<Candidate<'s>> {
        let pairs = servers.iter().zip(weights);
        pairs
            .map(|(server, weight)| Candidate {
                server,
                weight: *weight,
            })
            .collect()
    }

    fn pick(
        balance: &Balance,
        candidates: &[Candidate<'_>],
        turns: &SmoothRoundRobin,
        cart: &str,
    ) -> String {
        let head = head(&[("x-cart", cart)]);
        let turn = first(turns);
        let server = balance.pick(candidates, turn, &head, no_client).unwrap();
        server.address.to_string()
    }

    fn first(turns: &SmoothRoundRobin) -> Turn<'_> {
        let attempt = ServerAttempt::First;
        Turn { turns, attempt }
    }

    /// How often each of these servers is tried first if that many requests come and the first server takes none.
    fn tried_first(weights: &[u32], requests: usize) -> Vec<usize> {
        let owned = servers(u8::try_from(weights.len()).unwrap());
        let (all, turns, head) = (
            weighted(&owned, weights),
            SmoothRoundRobin::default(),
            head(&[]),
        );
        let mut counts = vec![0; weights.len()];
        let pick = |candidates: &[Candidate<'_>], attempt| {
            let turn = Turn {
                turns: &turns,
                attempt,
            };
            let server = Balance::Turn
                .pick(candidates, turn, &head, no_client)
                .unwrap();
            owned
                .iter()
                .position(|one| Arc::ptr_eq(one, server))
                .unwrap()
        };
        for _ in 0..requests {
            let at = pick(&all, ServerAttempt::First);
            counts[at] += 1;
            if at == 0 {
                pick(&all[1..], ServerAttempt::Again);
            }
        }
        counts
    }

    #[test]
    fn a_server_that_takes_no_connection_is_tried_first_no_more_often_than_others() {
        for weights in [vec![1, 1], vec![1; 3], vec![1; 5]] {
            let requests = 20 * weights.len();
            assert_eq!(tried_first(&weights, requests), vec![20; weights.len()]);
        }
        assert_eq!(tried_first(&[2, 1], 30), [20, 10]);
        assert_eq!(tried_first(&[1, 2, 3], 60), [10, 20, 30]);
    }

    /// The last figures of the addresses that so many requests go to.
    fn picked(balance: &Balance, candidates: &[Candidate<'_>], requests: usize) -> String {
        let turns = SmoothRoundRobin::default();
        let picked = (0..requests).map(|_| pick(balance, candidates, &turns, ""));
        picked.map(|one| one.as_bytes()[7] as char).collect()
    }

    #[test]
    fn every_server_has_its_turn() {
        let servers = servers(3);
        let equal = weighted(&servers, &[5; 3]);
        assert_eq!(picked(&Balance::Turn, &equal, 7), "1231231");
    }

    #[test]
    fn turns_follow_weights_and_are_spread_evenly() {
        let weighty = servers(3);
        let weighty = weighted(&weighty, &[5, 1, 1]);
        assert_eq!(picked(&Balance::Turn, &weighty, 14), "11213111121311");
    }

    proptest! {
        #[test]
        fn of_as_many_requests_as_the_weights_together_each_server_gets_its_weight(
            weights in proptest::collection::vec(1_u32..=40, 2..6),
        ) {
            let servers = servers(u8::try_from(weights.len()).unwrap());
            let candidates = weighted(&servers, &weights);
            let turns = SmoothRoundRobin::default();
            let total: u32 = weights.iter().sum();
            let equal = weights.iter().all(|one| *one == weights[0]);
            let mut counts = std::collections::BTreeMap::<String, u32>::new();
            for _ in 0..total {
                *counts.entry(pick(&Balance::Turn, &candidates, &turns, "")).or_default() += 1;
            }
            let counts: Vec<u32> = counts.into_values().collect();
            prop_assert!(equal || counts == weights, "{counts:?} {weights:?}");
        }
    }

    #[test]
    fn the_one_with_the_fewest_requests_is_taken_and_equals_in_turn() {
        let owned = servers(3);
        let all = weighted(&owned, &[1; 3]);
        let begin = |at: usize| InFlightGuard::begin(&owned[at], None);
        let busy = [0, 0, 2].map(begin);
        assert_eq!(picked(&Balance::Least, &all, 4), "2222");
        drop(busy);
        assert_eq!(picked(&Balance::Least, &all, 3), "123");
    }

    #[test]
    fn requests_in_flight_are_measured_by_the_weight() {
        let owned = servers(2);
        let all = weighted(&owned, &[1, 3]);
        let mut busy = Vec::new();
        let turns = SmoothRoundRobin::default();
        for _ in 0..40 {
            let head = head(&[]);
            let taken = Balance::Least
                .pick(&all, first(&turns), &head, no_client)
                .unwrap();
            busy.push(InFlightGuard::begin(taken, None));
        }
        let in_flight: Vec<_> = owned.iter().map(|one| one.in_flight()).collect();
        assert_eq!(in_flight, [10, 30]);
    }

    #[test]
    fn where_a_server_goes_only_its_own_customers_move() {
        let owned = servers(5);
        let all = weighted(&owned, &[1; 5]);
        let by_cart = Balance::Hash(HashBy::Header(HeaderName::from_static("x-cart")));
        let turns = SmoothRoundRobin::default();
        let mut moved = 0;
        for number in 0..1000 {
            let cart = format!("cart-{number}");
            let before = pick(&by_cart, &all, &turns, &cart);
            let after = pick(&by_cart, &all[1..], &turns, &cart);
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
    fn customers_move_only_to_the_server_whose_weight_grows() {
        let owned = servers(4);
        let before = weighted(&owned, &[1; 4]);
        let after = weighted(&owned, &[4, 1, 1, 1]);
        let by_cart = Balance::Hash(HashBy::Header(HeaderName::from_static("x-cart")));
        let turns = SmoothRoundRobin::default();
        let mut on_first = 0;
        for number in 0..1000 {
            let cart = format!("cart-{number}");
            let [was, is] = [&before, &after].map(|all| pick(&by_cart, all, &turns, &cart));
            assert!(was == is || is == "10.0.0.1:80", "{cart}: {was} {is}");
            on_first += usize::from(is == "10.0.0.1:80");
        }
        assert!((500..650).contains(&on_first), "{on_first} of 4/7");
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
