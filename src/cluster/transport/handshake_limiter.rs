//! Permits for pending handshakes: few, so that strangers can't exhaust the listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many handshakes may be pending.
const HANDSHAKES_MAX: usize = 64;

/// Limits how many handshakes are pending at once.
#[derive(Debug, Default)]
pub(super) struct HandshakeLimiter(Mutex<PendingHandshakes>);

#[derive(Debug, Default)]
struct PendingHandshakes {
    /// Oldest first.
    all: Vec<PendingHandshake>,
    next: u64,
}

#[derive(Debug)]
struct PendingHandshake {
    number: u64,
    address: IpAddr,
    /// Dropped when another handshake needs the permit.
    _stay: oneshot::Sender<()>,
}

/// The permit of one handshake; dropping it frees the permit.
#[derive(Debug)]
pub(super) struct HandshakePermit {
    limiter: Arc<HandshakeLimiter>,
    number: u64,
    stay: oneshot::Receiver<()>,
}

impl HandshakeLimiter {
    /// Always gives a permit. When all are taken, the oldest handshake of the address with the most pending ones loses
    /// its permit: a peer is done in milliseconds, and an address that takes many permits takes them from itself.
    pub(super) fn admit_handshake(self: &Arc<Self>, address: IpAddr) -> HandshakePermit {
        let mut pending = self.0.lock();
        if pending.all.len() >= HANDSHAKES_MAX {
            pending.dismiss_one();
        }
        let number = pending.next;
        pending.next += 1;
        let (stay, staying) = oneshot::channel();
        pending.all.push(PendingHandshake {
            number,
            address,
            _stay: stay,
        });
        HandshakePermit {
            limiter: Arc::clone(self),
            number,
            stay: staying,
        }
    }
}

impl PendingHandshakes {
    fn dismiss_one(&mut self) {
        let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
        for handshake in &self.all {
            *by_address.entry(handshake.address).or_default() += 1;
        }
        let most = by_address.values().max();
        let is_of_most = |handshake: &PendingHandshake| by_address.get(&handshake.address) == most;
        if let Some(oldest) = self.all.iter().position(is_of_most) {
            self.all.remove(oldest);
        }
    }
}

impl HandshakePermit {
    /// Waits until another handshake needs the permit.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.stay).await;
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let number = self.number;
        self.limiter
            .0
            .lock()
            .all
            .retain(|handshake| handshake.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_lost(permit: &mut HandshakePermit) -> bool {
        permit.stay.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn an_address_that_takes_all_permits_takes_them_from_itself() {
        let limiter = Arc::new(HandshakeLimiter::default());
        let mut peer = limiter.admit_handshake(address("10.0.0.1"));
        let mut crowd: Vec<_> = (1..HANDSHAKES_MAX)
            .map(|_| limiter.admit_handshake(address("10.0.0.9")))
            .collect();
        assert!(!crowd.iter_mut().any(is_lost));
        let mut other = limiter.admit_handshake(address("10.0.0.2"));
        let lost: Vec<_> = crowd.iter_mut().map(is_lost).collect();
        assert!(lost[0] && !lost[1..].contains(&true));
        crowd.extend((0..1000).map(|_| limiter.admit_handshake(address("10.0.0.9"))));
        assert!(!is_lost(&mut peer) && !is_lost(&mut other));
        assert_eq!(
            crowd
                .iter_mut()
                .filter_map(|permit| (!is_lost(permit)).then_some(()))
                .count(),
            HANDSHAKES_MAX - 2
        );
        assert_eq!(limiter.0.lock().all.len(), HANDSHAKES_MAX);
    }

    #[test]
    fn a_dropped_permit_is_free_again() {
        let limiter = Arc::new(HandshakeLimiter::default());
        let mut first = limiter.admit_handshake(address("10.0.0.1"));
        for _ in 0..1000 {
            drop(limiter.admit_handshake(address("10.0.0.1")));
        }
        assert!(!is_lost(&mut first));
        drop(first);
        assert!(limiter.0.lock().all.is_empty());
    }
}
