//! The number of connections, in all and for each client network.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::limits::Limits;
use crate::clients::ClientNetwork;

/// Limits the connections of this process.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    /// What the system allows, whatever the configuration says.
    most: usize,
    open: AtomicUsize,
    by_client: Mutex<HashMap<ClientNetwork, usize>>,
    /// The announced addresses of our own connections; `None`: by a unix socket.
    own: Mutex<HashSet<Option<SocketAddr>>>,
}

/// Announces a connection of our own until it is dropped.
#[derive(Debug)]
pub(crate) struct OwnConnection {
    limiter: Arc<ConnectionLimiter>,
    from: Option<SocketAddr>,
}

/// The permit of one connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    client: Option<ClientNetwork>,
    is_own: bool,
}

/// Which limit a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionLimit {
    /// The limit of all connections.
    Total,
    /// The limit of one client network.
    PerClient,
}

impl ConnectionLimit {
    /// The key of the limit in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Total => "connections",
            Self::PerClient => "connections_per_client",
        }
    }
}

impl ConnectionLimiter {
    /// No connection yet, and never more than this.
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

    /// Announces a connection from this address, `None` for one by a unix socket, which the limits do not refuse: the
    /// self-probe must get through however many customers there are.
    pub(crate) fn announce_own(self: &Arc<Self>, from: Option<SocketAddr>) -> OwnConnection {
        self.own.lock().insert(from);
        OwnConnection {
            limiter: Arc::clone(self),
            from,
        }
    }

    /// A permit for a connection of our own, if one was announced from this address.
    pub(super) fn acquire_own(
        self: &Arc<Self>,
        from: Option<SocketAddr>,
    ) -> Option<ConnectionPermit> {
        if !self.own.lock().contains(&from) {
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(ConnectionPermit {
            limiter: Arc::clone(self),
            client: None,
            is_own: true,
        })
    }

    /// A permit for a connection of a client that is not known yet, or is a trusted proxy, which has no limit of its own.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        limits: &Limits,
    ) -> Result<ConnectionPermit, ConnectionLimit> {
        let most = limits.connections.min(self.most);
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectionLimit::Total);
        }
        Ok(ConnectionPermit {
            limiter: Arc::clone(self),
            client: None,
            is_own: false,
        })
    }
}

impl ConnectionPermit {
    /// Whether the connection is the self-probe's.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Counts the connection as one of this client, too.
    pub(super) fn count_for(
        mut self,
        client: IpAddr,
        limits: &Limits,
    ) -> Result<Self, ConnectionLimit> {
        let client = ClientNetwork::containing(client);
        let limiter = Arc::clone(&self.limiter);
        let mut by_client = limiter.by_client.lock();
        let count = by_client.entry(client).or_default();
        if *count >= limits.connections_per_client {
            drop(by_client); // dropping `self` takes it again
            return Err(ConnectionLimit::PerClient);
        }
        *count += 1;
        self.client = Some(client);
        Ok(self)
    }
}

impl Drop for OwnConnection {
    fn drop(&mut self) {
        self.limiter.own.lock().remove(&self.from);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else {
            return;
        };
        let mut by_client = self.limiter.by_client.lock();
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
        let limiter = Arc::new(ConnectionLimiter::at_most(usize::MAX));
        let limits = Limits {
            connections: 3,
            connections_per_client: 2,
            ..Limits::default()
        };
        let acquire = |client: &str| {
            let permit = limiter.acquire(&limits)?;
            permit.count_for(client.parse().unwrap(), &limits)
        };
        let first = acquire("2001:db8::1").unwrap();
        let _second = acquire("2001:db8::2").unwrap();
        assert_eq!(
            acquire("2001:db8::3").err(),
            Some(ConnectionLimit::PerClient)
        );
        let _third = acquire("192.0.2.1").unwrap();
        assert_eq!(acquire("192.0.2.2").err(), Some(ConnectionLimit::Total));
        assert_eq!(limiter.open(), 3);
        drop(first);
        assert_eq!(limiter.open(), 2);
        let trusted = limiter.acquire(&limits).unwrap();
        let ours = "127.0.0.1:5".parse().ok();
        assert!(limiter.acquire_own(ours).is_none());
        let invitation = limiter.announce_own(ours);
        drop(limiter.acquire_own(ours).unwrap());
        drop(invitation);
        assert!(limiter.acquire_own(ours).is_none());
        drop(trusted);
        acquire("2001:db8::4").unwrap();
        assert_eq!(limiter.by_client.lock().len(), 2);
    }
}
