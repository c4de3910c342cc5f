//! The watchdog: probes the listeners before the process is ready, and then as long as systemd watches it
//! (`sd_watchdog_enabled`(3)).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{info, warn};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::sleep;

use super::notify::Notify;
use super::self_probe::{ProbeError, SelfProbe};
use super::traffic::Traffic;

/// Runs the self-probe, and notifies systemd.
pub(crate) struct Watchdog {
    pub(crate) self_probe: Arc<SelfProbe>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) traffic: Arc<Traffic>,
}

/// How long the first answers may take before the probe is repeated.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// The pause before the first repetition; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How many notifications fit into the watchdog's time: a late answer does no harm.
const FEEDS: u32 = 3;

#[async_trait]
impl BackgroundService for Watchdog {
    async fn start(&self, _: ShutdownWatch) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.self_probe.probe(FIRST_PATIENCE).await {
            warn_of(&error);
            sleep(pause).await;
            pause = (2 * pause).min(FIRST_PATIENCE);
        }
        if self.traffic.is_stopping() {
            return;
        }
        self.notify.ready();
        info!("ready");
        if let Some(time) = sd_notify::watchdog_enabled() {
            self.feed(time / FEEDS).await;
        }
    }
}

impl Watchdog {
    /// Notifies systemd's watchdog after each answered probe, until the process stops accepting.
    async fn feed(&self, every: Duration) {
        loop {
            sleep(every).await;
            let felt = self.self_probe.probe(every).await;
            if self.traffic.is_closing() {
                return;
            }
            match felt {
                Ok(()) => self.notify.alive(),
                Err(error) => warn_of(&error),
            }
        }
    }
}

fn warn_of(error: &ProbeError) {
    let ProbeError { address, error } = error;
    warn!(address:%; "the self-probe was not answered: {error}");
}
