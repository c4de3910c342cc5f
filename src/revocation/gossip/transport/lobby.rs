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
