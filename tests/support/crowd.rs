//! Customers who log out as fast as they are answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::Shop;
use super::patience::eventually;
use super::places::logout_of;
use super::wire::try_raw;

/// How many at once.
const LANES: usize = 2;

/// Customers at one node, until they are called home or nobody answers.
pub struct Crowd {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answered: Mutex<Vec<String>>,
    called_home: AtomicBool,
}

impl Crowd {
    /// So many customers of this shop, at this address.
    pub fn at(address: SocketAddr, shop: &Shop, customers: usize) -> Self {
        static CROWDS: AtomicUsize = AtomicUsize::new(0);
        let crowd = CROWDS.fetch_add(1, Ordering::Relaxed); // a logout reaches all tokens of a name
        let shared = Arc::<Shared>::default();
        let lane = |lane: usize| {
            let names = (0..customers / LANES).map(|number| format!("{crowd}-{lane}-{number}"));
            let tokens: Vec<_> = names.map(|name| shop.sign_in(&name)).collect();
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.log_out(address, tokens))
        };
        let lanes = (0..LANES).map(lane).collect();
        Self { shared, lanes }
    }

    /// The tokens whose logout was answered with success so far.
    pub fn answered(&self) -> Vec<String> {
        self.shared.answered.lock().unwrap().clone()
    }

    /// Waits until so many logouts were answered with success, for as long as it goes on.
    #[track_caller]
    pub fn comes_to(&self, count: usize) {
        loop {
            let so_far = self.answered().len();
            if so_far >= count {
                return;
            }
            eventually(|| self.answered().len() > so_far);
        }
    }

    /// Ends it; all the tokens whose logout was answered with success.
    pub fn goes_home(self) -> Vec<String> {
        self.shared.called_home.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            lane.join().unwrap();
        }
        std::mem::take(&mut self.shared.answered.lock().unwrap())
    }
}

impl Shared {
    fn log_out(&self, address: SocketAddr, tokens: Vec<String>) {
        for token in tokens {
            let Ok(answer) = try_raw(address, &logout_of(&token)) else {
                return;
            };
            if answer == 200 {
                let answered = self.answered.lock();
                answered.unwrap_or_else(PoisonError::into_inner).push(token);
            }
            if self.called_home.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}
