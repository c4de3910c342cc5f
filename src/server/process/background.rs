//! The background tasks: housekeeping, fetching of keys, refresh of the servers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{info, warn};
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::clock;
use crate::log_limit::LogLimit;
use crate::request::{AwaitedSuccess, Gate, Shop, SuccessNews};
use crate::server::keys::jwks::KeyFetcher;
use crate::server::snapshot::SharedSnapshot;
use crate::server::upstream::refresh_due;

/// How often due look-ups and checks are started.
const UPKEEP_TICK: Duration = Duration::from_millis(100);

/// How often the other tasks run.
const TICK: Duration = Duration::from_secs(1);

/// How long it is not repeated that a shop is only observed.
const DAY: Duration = Duration::from_hours(24);

/// Of how many shops that is remembered.
const OBSERVED_MAX: usize = 10_000;

/// The share of a limit from which a warning is logged.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Drops expired entries, and logs warnings.
pub(crate) struct Housekeeping(pub(crate) SharedSnapshot);

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(TICK);
        let mut nearly_full = HashSet::new();
        let mut observed = LogLimit::new(DAY, OBSERVED_MAX);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let snapshot = self.0.load();
                    snapshot.gate.revocations().tick();
                    snapshot.gate.honour_meanings(clock::now());
                    snapshot.gate.shops().iter().for_each(|shop| {
                        warn_of_vain_places(shop);
                        tell_first_successes(shop);
                    });
                    warn_of_observing(&snapshot.gate, &mut observed, clock::uptime_ms());
                    warn_of_full_stores(&snapshot.gate, &mut nearly_full);
                }
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Warns every day that a shop protects nothing because it is only observed. `told`: the shops, with what is observed of them.
fn warn_of_observing(gate: &Gate, told: &mut LogLimit<(String, String)>, now_ms: u64) {
    for shop in gate.shops() {
        let Some(observed) = shop.observed_in_words() else {
            continue;
        };
        if told.is_due((shop.name.clone(), observed.clone()), now_ms) {
            let (shop, observed) = (shop.name.as_str(), observed.as_str());
            warn!(shop, observed; "a shop is only observed: nothing is refused there for its credentials; see doorward_would_refuse_total");
        }
    }
}

/// Warns before the limit of entries of unverified credentials is reached, once each time. `known`: the names of the shops
/// that were warned about.
fn warn_of_full_stores(gate: &Gate, known: &mut HashSet<String>) {
    let now = clock::now();
    for shop in gate.shops() {
        let limit = shop.allowance.per_shop;
        let held = gate.revocations().unverified(shop.tag, now);
        let most = held.unconfirmed.max(held.likely);
        let is_nearly_full = most > 0 && most >= limit.saturating_mul(NEARLY_FULL_PERCENT) / 100;
        if !is_nearly_full {
            known.remove(&shop.name);
        } else if known.insert(shop.name.clone()) {
            let (shop, unconfirmed, likely) = (shop.name.as_str(), held.unconfirmed, held.likely);
            warn!(shop, unconfirmed, likely, limit; "limits.unverified_entries is nearly reached: beyond it, logouts that the shop does not confirm are answered 429");
        }
    }
}

/// Warns about a configured place that never holds a token: it protects nothing.
fn warn_of_vain_places(shop: &Shop) {
    for place in shop
        .places
        .iter()
        .filter(|place| place.counts.is_newly_vain())
    {
        let (shop, values) = (shop.name.as_str(), place.counts.unreadable());
        let place = place.label();
        warn!(shop, place, values; "a configured credential never holds a token: it protects nothing; see `pattern`, `decode` and `kind`");
    }
}

/// Warns while tokens come and none is accepted: with a wrong key every customer is refused, and nothing else says so.
fn tell_first_successes(shop: &Shop) {
    for awaited in shop.verifier.awaited() {
        let (shop, issuer) = (shop.name.as_str(), awaited.issuer);
        match (awaited.record.news(clock::uptime_ms()), awaited.success) {
            (Some(SuccessNews::None(none)), AwaitedSuccess::Verified) => {
                let (tokens, failed, forwarded) =
                    (none.total(), none.to_string(), awaited.is_forwarded);
                warn!(shop, issuer, tokens, failed, forwarded; "no token of this shop has verified since the start or since its keys changed: see [shop.token] and its keys");
            }
            (Some(SuccessNews::None(none)), AwaitedSuccess::Timely) => {
                let (tokens, failed) = (none.total(), none.to_string());
                warn!(shop, tokens, failed; "no token of this shop was within its time since the start: see the clocks of this machine and of the shop");
            }
            (Some(SuccessNews::First), AwaitedSuccess::Verified) => {
                info!(shop, issuer; "the first token of this shop has verified");
            }
            (Some(SuccessNews::First), AwaitedSuccess::Timely) => {
                info!(shop; "the first token of this shop was within its time");
            }
            (None, _) => {}
        }
    }
}

/// Fetches keys that are due.
pub(crate) struct KeyRefresh {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) keys: Arc<KeyFetcher>,
}

#[async_trait]
impl BackgroundService for KeyRefresh {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.keys.tick(self.snapshot.load().gate.shops()),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Keeps addresses and health up to date, for all shops.
pub(crate) struct UpstreamRefresh {
    snapshot: SharedSnapshot,
    connector: Arc<Connector>,
}

impl UpstreamRefresh {
    /// For the servers of the current snapshot.
    pub(crate) fn new(snapshot: SharedSnapshot) -> Self {
        let connector = Arc::new(Connector::new(None));
        Self {
            snapshot,
            connector,
        }
    }
}

#[async_trait]
impl BackgroundService for UpstreamRefresh {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(UPKEEP_TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    for (_, _, upstreams) in self.snapshot.load().pools.all() {
                        refresh_due(upstreams, &self.connector);
                    }
                }
                _ = shutdown.changed() => return,
            }
        }
    }
}
