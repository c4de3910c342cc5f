//! How many entries credentials may make that nobody could verify.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;

use crate::clock::UnixTime;

/// What a shop allows. Verified tokens are not counted: their number is bounded by what the shop issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Entries that one client address may make in a minute.
    pub per_client_minute: u32,
    /// Live entries of the whole shop.
    pub per_shop: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            per_client_minute: 30,
            per_shop: 1_000_000,
        }
    }
}

/// How many client addresses are counted in one minute. Beyond that every further one is over its
/// limit: nothing is forgotten to make room.
const CLIENTS_MAX: usize = 100_000;

/// The entries that each client made in the current minute.
#[derive(Default)]
pub struct Clients(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: u64,
    made: HashMap<IpAddr, u32>,
}

impl Clients {
    /// Counts one entry of `client`, unless that is more than `limit` in this minute.
    pub fn admit(&self, client: IpAddr, limit: u32, now: UnixTime) -> bool {
        let mut minute = self.0.lock();
        minute.turn(now);
        let client = network_of(client);
        if minute.is_full_for(client) {
            return false;
        }
        let made = minute.made.entry(client).or_default();
        *made += 1;
        *made <= limit
    }

    /// Whether one more entry of `client` would be more than `limit` in this minute.
    pub fn is_over(&self, client: IpAddr, limit: u32, now: UnixTime) -> bool {
        let mut minute = self.0.lock();
        minute.turn(now);
        let client = network_of(client);
        let made = minute.made.get(&client);
        minute.is_full_for(client) || made.is_some_and(|made| *made >= limit)
    }
}

impl Minute {
    /// Begins another minute, when this one is over.
    fn turn(&mut self, now: UnixTime) {
        let number = now.seconds() / 60;
        if self.number != number {
            self.number = number;
            self.made.clear();
        }
    }

    fn is_full_for(&self, client: IpAddr) -> bool {
        self.made.len() >= CLIENTS_MAX && !self.made.contains_key(&client)
    }
}

/// An IPv6 client has a whole /64 to call from.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_of_every_minute() {
        let clients = Clients::default();
        let at = |client: &str, second| {
            let client = client.parse().unwrap();
            clients.admit(client, 2, UnixTime::from_seconds(second))
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
}
