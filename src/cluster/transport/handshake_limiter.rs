//! Places for those who have not said yet who they are: few, so that strangers can't exhaust the listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many there are.
const PLACES: usize = 64;

/// Those who are in.
#[derive(Debug, Default)]
pub(super) struct Lobby(Mutex<Guests>);

#[derive(Debug, Default)]
struct Guests {
    /// In the order in which they came.
    all: Vec<Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    number: u64,
    address: IpAddr,
    /// Dropped when the place is needed for another.
    _stay: oneshot::Sender<()>,
}

/// The place of one connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    lobby: Arc<Lobby>,
    number: u64,
    stay: oneshot::Receiver<()>,
}

impl Lobby {
    /// A place for somebody, always. When all are taken, the oldest guest of the address with the most guests loses his:
    /// a peer is done in milliseconds, and whoever takes many places takes them from himself.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut guests = self.0.lock();
        if guests.all.len() >= PLACES {
            guests.dismiss_one();
        }
        let number = guests.next;
        guests.next += 1;
        let (stay, staying) = oneshot::channel();
        guests.all.push(Guest {
            number,
            address,
            _stay: stay,
        });
        Place {
            lobby: Arc::clone(self),
            number,
            stay: staying,
        }
    }
}

impl Guests {
    fn dismiss_one(&mut self) {
        let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
        for guest in &self.all {
            *by_address.entry(guest.address).or_default() += 1;
        }
        let most = by_address.values().max();
        let is_of_most = |guest: &Guest| by_address.get(&guest.address) == most;
        if let Some(oldest) = self.all.iter().position(is_of_most) {
            self.all.remove(oldest);
        }
    }
}

impl Place {
    /// Waits until the place is needed for another.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.stay).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.number;
        self.lobby
            .0
            .lock()
            .all
            .retain(|guest| guest.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_lost(place: &mut Place) -> bool {
        place.stay.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn who_takes_all_places_takes_them_from_himself() {
        let lobby = Arc::new(Lobby::default());
        let mut peer = lobby.enter(address("10.0.0.1"));
        let mut crowd: Vec<_> = (1..PLACES)
            .map(|_| lobby.enter(address("10.0.0.9")))
            .collect();
        assert!(!crowd.iter_mut().any(is_lost));
        let mut other = lobby.enter(address("10.0.0.2"));
        let lost: Vec<_> = crowd.iter_mut().map(is_lost).collect();
        assert!(lost[0] && !lost[1..].contains(&true));
        crowd.extend((0..1000).map(|_| lobby.enter(address("10.0.0.9"))));
        assert!(!is_lost(&mut peer) && !is_lost(&mut other));
        assert_eq!(
            crowd
                .iter_mut()
                .filter_map(|place| (!is_lost(place)).then_some(()))
                .count(),
            PLACES - 2
        );
        assert_eq!(lobby.0.lock().all.len(), PLACES);
    }

    #[test]
    fn a_place_comes_back() {
        let lobby = Arc::new(Lobby::default());
        let mut first = lobby.enter(address("10.0.0.1"));
        for _ in 0..1000 {
            drop(lobby.enter(address("10.0.0.1")));
        }
        assert!(!is_lost(&mut first));
        drop(first);
        assert!(lobby.0.lock().all.is_empty());
    }
}
