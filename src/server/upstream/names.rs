//! What the names of servers stand for: looked up in the background, so that no request waits for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use log::{info, warn};
use parking_lot::Mutex;

use super::busy::Busy;
use super::endpoint::Endpoint;
use super::server::{milliseconds, now_ms};
use super::upstreams::Upstreams;

/// What is known of one endpoint's addresses.
#[derive(Debug)]
pub(super) struct Name {
    /// The operator wrote the address itself.
    is_literal: bool,
    /// In order, each once. Kept while look-ups fail.
    addresses: Mutex<Vec<SocketAddr>>,
    due_ms: AtomicU64,
    /// One look-up at a time: the system's resolver may hang.
    is_looked_up: Busy,
    has_failed: AtomicBool,
}

/// How long a start waits for addresses.
const FIRST_WAIT: Duration = Duration::from_secs(2);

impl Name {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let literal = endpoint.literal();
        Self {
            is_literal: literal.is_some(),
            addresses: Mutex::new(literal.into_iter().collect()),
            due_ms: AtomicU64::default(),
            is_looked_up: Busy::default(),
            has_failed: AtomicBool::default(),
        }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().clone()
    }

    pub(super) fn inherit(&self, old: &Self) {
        *self.addresses.lock() = old.addresses();
        let has_failed = old.has_failed.load(Ordering::Relaxed);
        self.has_failed.store(has_failed, Ordering::Relaxed);
    }

    /// Whether it is time to look it up.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        let is_waiting = now_ms < self.due_ms.load(Ordering::Relaxed);
        !self.is_literal && !is_waiting && !self.is_looked_up.is_set()
    }

    fn is_unknown(&self) -> bool {
        self.addresses.lock().is_empty()
    }

    /// Takes what a look-up found. Returns whether the addresses are others now.
    fn learn(&self, mut found: Vec<SocketAddr>) -> bool {
        found.sort_unstable();
        found.dedup();
        let mut addresses = self.addresses.lock();
        let is_news = *addresses != found;
        *addresses = found;
        is_news
    }
}

impl Upstreams {
    /// Looks the name of an endpoint up.
    pub(super) async fn look_up(&self, at: usize) {
        let (Some(name), Some(endpoint)) = (self.names.get(at), self.settings.endpoints.get(at))
        else {
            return;
        };
        let Some(_busy) = name.is_looked_up.begin() else {
            return;
        };
        let due = now_ms().saturating_add(milliseconds(self.settings.resolve_every));
        name.due_ms.store(due, Ordering::Relaxed);
        let found = tokio::net::lookup_host((endpoint.host(), endpoint.port())).await;
        self.learn(at, found.map(Iterator::collect));
    }

    /// What a look-up found. Where it failed, the addresses of before are as good as any.
    fn learn(&self, at: usize, found: io::Result<Vec<SocketAddr>>) {
        let (Some(name), Some(endpoint)) = (self.names.get(at), self.settings.endpoints.get(at))
        else {
            return;
        };
        let shop = self.settings.shop.as_str();
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                let has_failed = name.has_failed.swap(false, Ordering::Relaxed);
                if name.learn(addresses) {
                    self.rebuild(&[]);
                    let addresses = name.addresses();
                    info!(shop, upstream:% = endpoint, addresses:?; "the upstream has these addresses");
                } else if has_failed {
                    info!(shop, upstream:% = endpoint; "the upstream's name can be resolved again");
                }
            }
            Ok(_) => self.note_unresolved(name, endpoint, "it has no address"),
            Err(error) => self.note_unresolved(name, endpoint, &error.to_string()),
        }
    }

    /// Says so once, until it succeeds again.
    fn note_unresolved(&self, name: &Name, endpoint: &Endpoint, why: &str) {
        if !name.has_failed.swap(true, Ordering::Relaxed) {
            let shop = self.settings.shop.as_str();
            let addresses = name.addresses();
            warn!(shop, upstream:% = endpoint, addresses:?; "the upstream's name can't be resolved: {why}");
        }
    }
}

/// Looks up every name whose address is unknown, all at once, and waits a short while for the answers.
pub(crate) async fn first_addresses(all: impl Iterator<Item = &Arc<Upstreams>>) {
    let look_ups = all.flat_map(|upstreams| {
        let names = upstreams.names.iter().enumerate();
        let unknown = names.filter(|(_, name)| name.is_unknown());
        unknown.map(|(at, _)| upstreams.look_up(at))
    });
    let _ = tokio::time::timeout(FIRST_WAIT, join_all(look_ups)).await;
}

#[cfg(test)]
mod tests {
    use super::super::upstreams::tests::upstreams;
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The addresses that requests go to.
    fn known(upstreams: &Upstreams) -> Vec<SocketAddr> {
        let states = upstreams.servers().into_iter();
        states.filter_map(|state| state.address).collect()
    }

    #[test]
    fn all_addresses_of_a_name_are_servers_and_they_follow_it() {
        let upstreams = upstreams(&["10.0.0.1:80", "shop.invalid:80"]);
        assert_eq!(known(&upstreams), addresses(&["10.0.0.1:80"]));
        upstreams.learn(
            1,
            Ok(addresses(&["10.0.0.3:80", "10.0.0.2:80", "10.0.0.3:80"])),
        );
        let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        assert_eq!(known(&upstreams), all);
        let stays = Arc::clone(&upstreams.servers.load()[1]);
        upstreams.learn(1, Ok(addresses(&["10.0.0.4:80", "10.0.0.2:80"])));
        let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80"]);
        assert_eq!(known(&upstreams), all);
        assert!(Arc::ptr_eq(&stays, &upstreams.servers.load()[1]));
    }

    #[test]
    fn a_look_up_that_fails_leaves_the_addresses() {
        let upstreams = upstreams(&["shop.invalid:80"]);
        assert_eq!(upstreams.servers()[0].address, None);
        upstreams.learn(0, Ok(addresses(&["10.0.0.2:80"])));
        upstreams.learn(0, Err(io::ErrorKind::TimedOut.into()));
        upstreams.learn(0, Ok(Vec::new()));
        assert_eq!(known(&upstreams), addresses(&["10.0.0.2:80"]));
        assert!(upstreams.names[0].has_failed.load(Ordering::Relaxed));
        upstreams.learn(0, Ok(addresses(&["10.0.0.2:80"])));
        assert!(!upstreams.names[0].has_failed.load(Ordering::Relaxed));
    }
}
