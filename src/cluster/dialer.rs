//! Dialing peers: names are looked up again and again, and lost connections are dialed again.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use log::warn;
use parking_lot::Mutex;

use super::backoff::{pause, warning_limit};
use super::connection::run_session;
use super::shared::{Shared, now};
use super::transport::resolve;

/// How often names are looked up.
const RESOLVE_EVERY_MS: u64 = 10_000;

/// How often it is asked whether there are other names.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Dials every peer of the configuration, for ever.
pub(super) async fn dial_all(shared: Arc<Shared>) {
    let called: Arc<Mutex<HashSet<SocketAddr>>> = Arc::default();
    let mut warnings = warning_limit();
    let mut known = Vec::new();
    let mut resolved_ms = None;
    loop {
        let peers = shared.peers();
        let now_ms = now().uptime_ms;
        let is_old = resolved_ms.is_none_or(|then| now_ms - then >= RESOLVE_EVERY_MS);
        if is_old || peers != known {
            resolved_ms = Some(now_ms);
            let mut addresses = Vec::new();
            let mut is_whole = true;
            for (peer, found) in resolve(&peers).await {
                match found {
                    Ok(found) => addresses.extend(found),
                    Err(error) => {
                        is_whole = false;
                        if warnings.is_due(peer.clone(), now_ms) {
                            warn!(peer:%; "the name of a peer can't be looked up: {error}");
                        }
                    }
                }
            }
            known = peers;
            shared.mesh.set_targets(&addresses, is_whole, now());
            for address in addresses {
                if called.lock().insert(address) {
                    tokio::spawn(dial(Arc::clone(&shared), Arc::clone(&called), address));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Dials one address for as long as the configuration names it.
async fn dial(shared: Arc<Shared>, called: Arc<Mutex<HashSet<SocketAddr>>>, address: SocketAddr) {
    let mut warnings = warning_limit();
    while shared.mesh.is_target(address) {
        if shared.mesh.is_wanted(address) {
            match shared.transport.dial(address).await {
                Ok(link) => run_session(Arc::clone(&shared), link, Some(address)).await,
                Err(error) => {
                    if warnings.is_due(address, now().uptime_ms) {
                        warn!(address:%; "a peer can't be reached: {error}");
                    }
                }
            }
            shared.mesh.tried(address);
        }
        tokio::time::sleep(pause()).await;
    }
    called.lock().remove(&address);
}
