//! The end of the process: on TERM after the requests in flight are answered, on INT or a second TERM at once.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use log::{error, info, warn};
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::notify::Notify;
use super::traffic::Traffic;
use crate::server::snapshot::SharedSnapshot;

/// Watches the signals that end the process, and drains it.
pub(crate) struct Shutdown {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) notify: Arc<Notify>,
}

/// `SIGXFSZ` on the architectures that Rust has as tier 1.
const SIGXFSZ: i32 = 25;

/// Handles the signals that would end the process needlessly, and returns those that request a reload: none is lost from
/// here on. A file over its size limit is an error of that write, and a closed terminal does not concern a service.
pub(crate) fn take_over_signals() -> io::Result<Signal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _inside = runtime.enter();
    let _ = signal(SignalKind::from_raw(SIGXFSZ))?;
    signal(SignalKind::hangup())
}

/// The signals that end the process.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl StopSignals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the first signal; whether requests in flight may finish.
    async fn first(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.quit.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }

    /// Waits for another one.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Shutdown {
    async fn drain_on_signal(&self) -> io::Result<()> {
        let mut ends = StopSignals::watch()?;
        let may_finish = ends.first().await;
        self.traffic.begin_stopping();
        self.notify.stopping();
        let in_flight = self.traffic.in_flight();
        if !may_finish {
            info!(in_flight; "ending at once");
            return Ok(());
        }
        info!(in_flight; "stopping");
        tokio::select! {
            () = self.drain() => {}
            () = ends.again() => {
                let in_flight = self.traffic.in_flight();
                warn!(in_flight; "second signal: ending at once");
            }
        }
        Ok(())
    }

    /// The order matters: `/readyz` fails by now; then no connection is accepted, then the requests in flight end.
    async fn drain(&self) {
        let drain = self.snapshot.load().drain;
        sleep(drain.delay).await;
        self.traffic.stop_accepting();
        if timeout(drain.timeout, self.traffic.is_over())
            .await
            .is_err()
        {
            let in_flight = self.traffic.in_flight();
            warn!(in_flight; "drain.timeout is over: ending requests in flight");
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(error) = self.drain_on_signal().await {
            error!("signals can't be watched: {error}; stopping");
        }
        // Nothing is left to wait for: Pingora's graceful stop would only sleep. The listeners of the
        // operator have served until here.
        ShutdownSignal::FastShutdown
    }
}
