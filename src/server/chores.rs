//! What is done in the background, again and again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::warn;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::jwks::KeyFetcher;
use super::site::Served;
use crate::request::Shop;

/// How often it is asked what is due.
const UPKEEP_TICK: Duration = Duration::from_millis(100);

/// How often is done what is done in the background.
const TICK: Duration = Duration::from_secs(1);

/// Drops what is over.
pub(super) struct Housekeeping(pub(super) Served);

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let site = self.0.load();
                    site.gate.revocations().tick();
                    site.gate.shops().iter().for_each(|shop| warn_of_vain_places(shop));
                }
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// A place that never holds a token protects nothing, and must not be silent about it.
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

/// Fetches keys that are due.
pub(super) struct KeyRefresh {
    pub(super) site: Served,
    pub(super) keys: Arc<KeyFetcher>,
}

#[async_trait]
impl BackgroundService for KeyRefresh {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.keys.tick(self.site.load().gate.shops()),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Keeps addresses and health up to date, for all shops.
pub(super) struct Upkeep {
    site: Served,
    connector: Arc<Connector>,
}

impl Upkeep {
    /// Of the site that is served.
    pub(super) fn of(site: Served) -> Self {
        let connector = Arc::new(Connector::new(None));
        Self { site, connector }
    }
}

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(UPKEEP_TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    for upstreams in self.site.load().upstreams.values() {
                        upstreams.tick(&self.connector);
                    }
                }
                _ = shutdown.changed() => return,
            }
        }
    }
}
