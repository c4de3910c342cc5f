//! Whether customers are served: asked before the process says that it is ready, and ever after while systemd
//! wants to know (`sd_watchdog_enabled`(3)).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{info, warn};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::sleep;

use super::notify::Notify;
use super::self_probe::{Pulse, Silent};
use super::traffic::Traffic;

/// Feels the pulse, and tells systemd.
pub(crate) struct Watchdog {
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) traffic: Arc<Traffic>,
}

/// How long the first answers may take before the question is asked again.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// How soon it is asked again at the start; after that less and less often.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How often the watchdog is fed in its time: one answer that is late does no harm.
const FEEDS: u32 = 3;

#[async_trait]
impl BackgroundService for Watchdog {
    async fn start(&self, _: ShutdownWatch) {
        let mut pause = FIRST_PAUSE;
        while let Err(silent) = self.pulse.beats(FIRST_PATIENCE).await {
            note(&silent);
            sleep(pause).await;
            pause = (2 * pause).min(FIRST_PATIENCE);
        }
        if self.traffic.is_draining() {
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
    /// Feeds systemd's watchdog until the doors are closed: no answer, no food.
    async fn feed(&self, every: Duration) {
        loop {
            sleep(every).await;
            let felt = self.pulse.beats(every).await;
            if self.traffic.is_closing() {
                return;
            }
            match felt {
                Ok(()) => self.notify.alive(),
                Err(silent) => note(&silent),
            }
        }
    }
}

fn note(silent: &Silent) {
    let Silent { address, error } = silent;
    warn!(address:%; "our own request was not answered: {error}");
}
