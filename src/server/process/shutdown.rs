//! When the process ends: on TERM once the requests in flight are answered, on INT or a second TERM at once.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use log::{error, info, warn};
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::notify::Notify;
use super::traffic::Traffic;
use crate::server::snapshot::Served;

/// Watches the signals that end the process, and winds it down.
pub(crate) struct Shutdown {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) served: Served,
    pub(crate) notify: Arc<Notify>,
}

/// `SIGXFSZ` on the architectures that Rust has as tier 1.
const SIGXFSZ: i32 = 25;

/// Takes over the signals that would end the process for no good reason, and returns those that ask for a
/// reload: none is lost from here on. A file over its size limit is an error of that write, and a closed
/// terminal is nothing to a service. Handlers stay for good.
pub(crate) fn outlive_signals() -> io::Result<Signal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _inside = runtime.enter();
    let _ = signal(SignalKind::from_raw(SIGXFSZ))?;
    signal(SignalKind::hangup())
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Ends {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits to be told; whether in flight requests may finish.
    async fn first(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.quit.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }

    /// Waits to be told again.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Shutdown {
    async fn told_and_done(&self) -> io::Result<()> {
        let mut ends = Ends::watch()?;
        let may_finish = ends.first().await;
        self.traffic.begin_draining();
        self.notify.stopping();
        let in_flight = self.traffic.in_flight();
        if !may_finish {
            info!(in_flight; "ending at once");
            return Ok(());
        }
        info!(in_flight; "stopping");
        tokio::select! {
            () = self.wind_down() => {}
            () = ends.again() => {
                let in_flight = self.traffic.in_flight();
                warn!(in_flight; "told again: ending at once");
            }
        }
        Ok(())
    }

    /// The order is the promise: readiness is off by now; then the doors, then what is in flight.
    async fn wind_down(&self) {
        let drain = self.served.load().drain;
        sleep(drain.delay).await;
        self.traffic.close_doors();
        if timeout(drain.timeout, self.traffic.is_over())
            .await
            .is_err()
        {
            let in_flight = self.traffic.in_flight();
            warn!(in_flight; "drain.timeout is over: what is left is cut off");
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(error) = self.told_and_done().await {
            error!("signals can't be watched: {error}; stopping");
        }
        // Nothing is left to wait for: Pingora's graceful stop would only sleep. The listeners of the
        // operator have served until here.
        ShutdownSignal::FastShutdown
    }
}
