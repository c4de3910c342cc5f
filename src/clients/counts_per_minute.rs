//! What each client did in a minute, up to a limit.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use super::network::ClientNetwork;
use crate::clock::UnixTime;

/// How many clients' share a wider network has: a /24 of IPv4, a /48 of IPv6.
pub const WIDER: u32 = 16;

/// How many clients are counted in one minute. Beyond that every further one is over its limit: nothing is forgotten to
/// make room. A wider network takes a few places only, for it is counted first.
const CLIENTS_MAX: usize = 100_000;

/// How much each client did in the current minute.
#[derive(Default)]
pub struct CountsPerMinute(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: u64,
    /// By the client, and by its wider network.
    counts: [HashMap<ClientNetwork, u32>; 2],
}

impl CountsPerMinute {
    /// Counts `more` of `client`, unless that exceeds `limit` in this minute. All of it, or nothing.
    pub fn count_within(&self, client: IpAddr, more: u32, limit: u32, now: UnixTime) -> bool {
        let mut minute = self.0.lock();
        minute.turn(now);
        let networks = networks_of(client);
        if !minute.has_room(networks, more, limit) {
            return false;
        }
        for (counts, network) in minute.counts.iter_mut().zip(networks) {
            *counts.entry(network).or_default() += more;
        }
        true
    }

    /// Whether one more of `client` would exceed `limit` in this minute.
    pub fn is_over(&self, client: IpAddr, limit: u32, now: UnixTime) -> bool {
        let mut minute = self.0.lock();
        minute.turn(now);
        !minute.has_room(networks_of(client), 1, limit)
    }

    /// So much of `client` does not count after all, if it was counted in this minute.
    pub fn give_back(&self, client: IpAddr, less: u32, now: UnixTime) {
        let mut minute = self.0.lock();
        minute.turn(now);
        for (counts, network) in minute.counts.iter_mut().zip(networks_of(client)) {
            if let Some(count) = counts.get_mut(&network) {
                *count = count.saturating_sub(less);
            }
        }
    }
}

impl Minute {
    /// Begins another minute, when this one is over.
    fn turn(&mut self, now: UnixTime) {
        let number = now.seconds() / 60;
        if self.number != number {
            self.number = number;
            self.counts.iter_mut().for_each(HashMap::clear);
        }
    }

    fn has_room(&self, networks: [ClientNetwork; 2], more: u32, limit: u32) -> bool {
        let limits = [limit, limit.saturating_mul(WIDER)];
        let mut tables = self.counts.iter().zip(networks).zip(limits);
        tables.all(|((counts, network), limit)| match counts.get(&network) {
            Some(count) => count.saturating_add(more) <= limit,
            None => more <= limit && counts.len() < CLIENTS_MAX,
        })
    }
}

/// A client and the wider network that it is in.
fn networks_of(client: IpAddr) -> [ClientNetwork; 2] {
    let network = ClientNetwork::containing(client);
    [network, network.wider()]
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const START: UnixTime = UnixTime::EPOCH;

    #[test]
    fn a_client_has_its_share_of_every_minute() {
        let clients = CountsPerMinute::default();
        let at = |client: &str, second| {
            let client = client.parse().unwrap();
            clients.count_within(client, 1, 2, UnixTime::from_seconds(second))
        };
        assert!(at("192.0.2.1", 0) && at("192.0.2.1", 1));
        let now = UnixTime::from_seconds(59);
        let is_over = |client: &str| clients.is_over(client.parse().unwrap(), 2, now);
        assert!(is_over("192.0.2.1") && !is_over("192.0.2.2"));
        assert!(!at("192.0.2.1", 59));
        assert!(at("192.0.2.2", 59), "another client has its own share");
        assert!(at("192.0.2.1", 60), "a new minute");
        assert!(at("2001:db8::1", 60) && at("2001:db8::2", 60));
        assert!(!at("2001:db8::3", 60), "one network is one client");
    }

    #[test]
    fn a_wider_network_has_the_share_of_some_clients() {
        for network in ["2001:db8:1:N::1", "192.0.2.N"] {
            let clients = CountsPerMinute::default();
            let of = |number: u32| network.replace('N', &number.to_string()).parse().unwrap();
            let admitted = (0..100).filter(|number| clients.count_within(of(*number), 1, 2, START));
            assert_eq!(admitted.count(), 2 * WIDER as usize, "{network}");
            assert!(clients.is_over(of(200), 2, START), "{network}");
            let elsewhere = ["2001:db8:2::1", "198.51.100.1"].map(|one| one.parse().unwrap());
            assert!(
                elsewhere
                    .iter()
                    .all(|one| clients.count_within(*one, 2, 2, START))
            );
        }
    }

    /// A /48 has 65,536 networks: they must not take the places of other clients.
    #[test]
    fn a_wider_network_takes_no_more_places_than_it_may_make_entries() {
        let clients = CountsPerMinute::default();
        for number in 0..u16::MAX {
            let client = Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 1);
            clients.count_within(client.into(), 1, 30, START);
        }
        let [narrow, wide] = clients.0.lock().counts.each_ref().map(HashMap::len);
        assert_eq!((narrow, wide), (30 * WIDER as usize, 1));
    }

    #[test]
    fn several_entries_count_all_or_none_and_come_back() {
        let clients = CountsPerMinute::default();
        let client = "192.0.2.1".parse().unwrap();
        assert!(!clients.count_within(client, 3, 2, START));
        assert!(
            clients.count_within(client, 2, 2, START),
            "nothing was counted"
        );
        clients.give_back(client, 2, UnixTime::from_seconds(60));
        assert!(clients.count_within(client, 2, 2, UnixTime::from_seconds(60)));
        clients.give_back(client, 1, UnixTime::from_seconds(61));
        assert!(clients.count_within(client, 1, 2, UnixTime::from_seconds(61)));
    }
}
