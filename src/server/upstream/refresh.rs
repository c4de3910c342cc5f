//! The refresh of the servers: names are looked up and servers are checked in the background.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use log::{info, warn};
use pingora::connectors::http::Connector;

use super::endpoint::Endpoint;
use super::health::Check;
use super::names::ResolvedName;
use super::pools::Pools;
use super::server::{UpstreamServer, milliseconds, now_ms};
use super::upstreams::Upstreams;
use crate::request::ServerAddress;

/// How long a start waits for addresses.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Starts the look-ups and checks that are due.
pub(crate) fn refresh_due(upstreams: &Arc<Upstreams>, connector: &Arc<Connector>) {
    let now = now_ms();
    for (at, name) in upstreams.names.iter().enumerate() {
        if name.is_due(now) {
            let upstreams = Arc::clone(upstreams);
            tokio::spawn(async move { look_up(&upstreams, at).await });
        }
    }
    if upstreams.settings.health.check == Check::None {
        return;
    }
    for server in upstreams.all_servers() {
        if server.is_check_due(now) {
            let check = check(Arc::clone(upstreams), server, Arc::clone(connector));
            tokio::spawn(check);
        }
    }
}

async fn check(upstreams: Arc<Upstreams>, server: Arc<UpstreamServer>, connector: Arc<Connector>) {
    let Some(_busy) = server.being_checked.begin() else {
        return;
    };
    let health = &upstreams.settings.health;
    server.note_check(health.interval, now_ms());
    let checked = match upstreams.lone_peer(&server, None) {
        Ok(peer) => health.probe(&server.endpoint, &peer, &connector).await,
        Err(error) => Err(error),
    };
    let is_well = checked.is_ok();
    if !server.observe(is_well, health.thresholds, now_ms()) {
        return;
    }
    let (shop, upstream, endpoint, address) = upstreams.log_keys(&server);
    match checked {
        Ok(()) => {
            info!(shop, upstream, server:% = endpoint, address:%; "the server is healthy again");
        }
        Err(error) => {
            warn!(shop, upstream, server:% = endpoint, address:%; "the server is unhealthy: {error}");
        }
    }
}

fn name_at(upstreams: &Upstreams, at: usize) -> Option<(&ResolvedName, &Endpoint)> {
    let one = upstreams.settings.servers.get(at)?;
    Some((upstreams.names.get(at)?, &one.endpoint))
}

/// Looks the name of an endpoint up.
async fn look_up(upstreams: &Upstreams, at: usize) {
    let Some((name, endpoint)) = name_at(upstreams, at) else {
        return;
    };
    let Some(_busy) = name.is_looked_up.begin() else {
        return;
    };
    let due = now_ms().saturating_add(milliseconds(upstreams.settings.resolve_every));
    name.due_ms.store(due, Ordering::Relaxed);
    let Some(place) = endpoint.network() else {
        return; // a unix socket has no name
    };
    let found = tokio::net::lookup_host(place).await;
    learn(upstreams, at, found.map(Iterator::collect));
}

/// Takes the result of a look-up. If it failed, the former addresses stay.
fn learn(upstreams: &Upstreams, at: usize, found: io::Result<Vec<SocketAddr>>) {
    let Some((name, endpoint)) = name_at(upstreams, at) else {
        return;
    };
    let (shop, upstream) = upstreams.settings.owner.names();
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            let has_failed = name.has_failed.swap(false, Ordering::Relaxed);
            let addresses = addresses.into_iter().map(ServerAddress::from);
            if name.learn(addresses.collect()) {
                upstreams.rebuild();
                let addresses = shown(name);
                info!(shop, upstream, server:% = endpoint, addresses:?; "the server has these addresses");
            } else if has_failed {
                info!(shop, upstream, server:% = endpoint; "the server's name can be resolved again");
            }
        }
        Ok(_) => note_unresolved(upstreams, name, endpoint, "it has no address"),
        Err(error) => note_unresolved(upstreams, name, endpoint, &error.to_string()),
    }
}

/// The addresses, for the log.
fn shown(name: &ResolvedName) -> Vec<String> {
    let addresses = name.addresses().into_iter();
    addresses.map(|address| address.to_string()).collect()
}

/// Logs it once, until a look-up succeeds again.
fn note_unresolved(upstreams: &Upstreams, name: &ResolvedName, endpoint: &Endpoint, why: &str) {
    if !name.has_failed.swap(true, Ordering::Relaxed) {
        let (shop, upstream) = upstreams.settings.owner.names();
        let addresses = shown(name);
        warn!(shop, upstream, server:% = endpoint, addresses:?; "the server's name can't be resolved: {why}");
    }
}

/// Looks up every name whose address is unknown, all at once, and waits a short while for the answers.
async fn first_addresses(all: impl Iterator<Item = &Arc<Upstreams>>) {
    let look_ups = all.flat_map(|upstreams| {
        let names = upstreams.names.iter().enumerate();
        let unknown = names.filter(|(_, name)| name.is_unknown());
        unknown.map(|(at, _)| look_up(upstreams, at))
    });
    let _ = tokio::time::timeout(FIRST_WAIT, join_all(look_ups)).await;
}

/// Waits a short while for the first addresses at the start. Requests to a shop whose names are not resolved are
/// answered 503; the other shops do not wait for it.
pub(crate) fn await_addresses(pools: &Pools) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(first_addresses(pools.all().map(|(_, _, one)| one)));
    runtime.shutdown_background(); // a look-up that hangs would hold it
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::server::FULL_SHARE;
    use super::super::upstreams::tests::{choose, upstreams};
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The addresses that requests go to.
    fn known(upstreams: &Upstreams) -> Vec<SocketAddr> {
        let states = upstreams.servers().into_iter();
        let addresses = states.filter_map(|state| state.address);
        addresses
            .map(|address| match address {
                ServerAddress::Ip(address) => address,
                ServerAddress::Unix(_) => unreachable!(),
            })
            .collect()
    }

    #[test]
    fn all_addresses_of_a_name_are_servers_and_they_follow_it() {
        let upstreams = upstreams(&["10.0.0.1:80", "shop.invalid:80"]);
        assert_eq!(known(&upstreams), addresses(&["10.0.0.1:80"]));
        learn(
            &upstreams,
            1,
            Ok(addresses(&["10.0.0.3:80", "10.0.0.2:80", "10.0.0.3:80"])),
        );
        let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        assert_eq!(known(&upstreams), all);
        let stays = Arc::clone(&upstreams.all_servers()[1]);
        learn(
            &upstreams,
            1,
            Ok(addresses(&["10.0.0.4:80", "10.0.0.2:80"])),
        );
        let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80"]);
        assert_eq!(known(&upstreams), all);
        assert!(Arc::ptr_eq(&stays, &upstreams.all_servers()[1]));
    }

    #[test]
    fn a_server_that_appears_while_others_serve_starts_slowly() {
        let share = |upstreams: &Upstreams, at: usize| {
            let hour = Duration::from_hours(1);
            upstreams.all_servers()[at].share(hour, now_ms())
        };
        let upstreams = upstreams(&["10.0.0.1:80", "shop.invalid:80"]);
        learn(&upstreams, 1, Ok(addresses(&["10.0.0.2:80"])));
        assert_eq!(share(&upstreams, 1), FULL_SHARE, "nothing was served yet");
        assert!(choose(&upstreams, &[]).is_some());
        let both = addresses(&["10.0.0.2:80", "10.0.0.3:80"]);
        learn(&upstreams, 1, Ok(both));
        let shares = [0, 1, 2].map(|at| share(&upstreams, at));
        assert_eq!(shares, [FULL_SHARE, FULL_SHARE, 1]);
    }

    #[test]
    fn a_look_up_that_fails_leaves_the_addresses() {
        let upstreams = upstreams(&["shop.invalid:80"]);
        assert_eq!(upstreams.servers()[0].address, None);
        learn(&upstreams, 0, Ok(addresses(&["10.0.0.2:80"])));
        learn(&upstreams, 0, Err(io::ErrorKind::TimedOut.into()));
        learn(&upstreams, 0, Ok(Vec::new()));
        assert_eq!(known(&upstreams), addresses(&["10.0.0.2:80"]));
        assert!(upstreams.names[0].has_failed.load(Ordering::Relaxed));
        learn(&upstreams, 0, Ok(addresses(&["10.0.0.2:80"])));
        assert!(!upstreams.names[0].has_failed.load(Ordering::Relaxed));
    }
}
