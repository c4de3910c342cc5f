//! How many connections there are, in all and of each client.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::limits::Limits;

/// The connections of this process.
#[derive(Debug)]
pub(crate) struct Slots {
    /// More than this there can't be, whatever the configuration says.
    most: usize,
    open: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    /// Where connections of our own come from.
    own: Mutex<HashSet<SocketAddr>>,
}

/// Lets a connection of our own in for as long as it lives.
#[derive(Debug)]
pub(crate) struct Invitation {
    slots: Arc<Slots>,
    from: SocketAddr,
}

/// The place of one connection; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    client: Option<IpAddr>,
}

/// Which limit a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// That of all connections.
    Everybody,
    /// That of this client.
    Client,
}

impl Full {
    /// The key of the limit in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Everybody => "connections",
            Self::Client => "connections_per_client",
        }
    }
}

impl Slots {
    /// None taken yet, and never more than this.
    pub(crate) fn at_most(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            by_client: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Lets a connection from this address in, however full it is: the process asks itself whether it serves,
    /// and a full house is no reason to end it.
    pub(crate) fn invite(self: &Arc<Self>, from: SocketAddr) -> Invitation {
        self.own.lock().insert(from);
        Invitation {
            slots: Arc::clone(self),
            from,
        }
    }

    /// A place for a connection of our own, if it comes from where one was announced.
    pub(super) fn seat(self: &Arc<Self>, from: SocketAddr) -> Option<Slot> {
        if !self.own.lock().contains(&from) {
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Slot {
            slots: Arc::clone(self),
            client: None,
        })
    }

    /// A place for a connection of this client; `None` is a client that may have all places.
    pub(super) fn take(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        limits: &Limits,
    ) -> Result<Slot, Full> {
        let most = limits.connections.min(self.most);
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Everybody);
        }
        let client = client.map(client_network);
        let mut slot = Slot {
            slots: Arc::clone(self),
            client: None,
        };
        let Some(client) = client else {
            return Ok(slot);
        };
        let mut by_client = self.by_client.lock();
        let count = by_client.entry(client).or_default();
        if *count >= limits.connections_per_client {
            return Err(Full::Client); // `slot` gives its place back
        }
        *count += 1;
        drop(by_client);
        slot.client = Some(client);
        Ok(slot)
    }
}

/// Whoever has an IPv6 address has the 2^64 of its network.
pub(crate) fn client_network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        self.slots.own.lock().remove(&self.from);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else {
            return;
        };
        let mut by_client = self.slots.by_client.lock();
        if let Some(count) = by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slots = Arc::new(Slots::at_most(usize::MAX));
        let limits = Limits {
            connections: 3,
            connections_per_client: 2,
            ..Limits::default()
        };
        let take = |client: &str| slots.take(Some(client.parse().unwrap()), &limits);
        let first = take("2001:db8::1").unwrap();
        let _second = take("2001:db8::2").unwrap();
        assert_eq!(take("2001:db8::3").err(), Some(Full::Client));
        let _third = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.2").err(), Some(Full::Everybody));
        assert_eq!(slots.open(), 3);
        drop(first);
        assert_eq!(slots.open(), 2);
        let trusted = slots.take(None, &limits).unwrap();
        let ours = "127.0.0.1:5".parse().unwrap();
        assert!(slots.seat(ours).is_none());
        let invitation = slots.invite(ours);
        drop(slots.seat(ours).unwrap());
        drop(invitation);
        assert!(slots.seat(ours).is_none());
        drop(trusted);
        take("2001:db8::4").unwrap();
        assert_eq!(slots.by_client.lock().len(), 2);
    }
}
