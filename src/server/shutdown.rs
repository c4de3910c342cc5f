//! When the process ends: on TERM once the requests in flight are answered, on INT or a second TERM at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{error, info};
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// Watches the signals and the requests in flight.
pub(super) struct Shutdown {
    /// Every request in flight holds a clone; one is the proxy's and one is ours.
    pub in_flight: Arc<()>,
}

/// How long requests in flight may take once the process is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the requests in flight are counted while the process stops.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// `SIGXFSZ` on the architectures that Rust has as tier 1.
const SIGXFSZ: i32 = 25;

/// Takes over the signals that would end the process for no good reason: a file over its size limit is an
/// error of that write, and a closed terminal is nothing to a service. Handlers stay for good.
pub(super) fn outlive_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _inside = runtime.enter();
    let _ = signal(SignalKind::from_raw(SIGXFSZ))?;
    let _ = signal(SignalKind::hangup())?;
    Ok(())
}

impl Shutdown {
    fn in_flight(&self) -> usize {
        Arc::strong_count(&self.in_flight).saturating_sub(2)
    }

    async fn drained(&self) {
        while self.in_flight() > 0 {
            sleep(DRAIN_TICK).await;
        }
    }

    async fn told_and_drained(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
        }
        let in_flight = self.in_flight();
        info!(in_flight; "stopping");
        tokio::select! {
            _ = timeout(DRAIN_TIMEOUT, self.drained()) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(error) = self.told_and_drained().await {
            error!("signals can't be watched: {error}; stopping");
        }
        // Nothing is left to wait for: Pingora's graceful stop would only sleep.
        ShutdownSignal::FastShutdown
    }
}
