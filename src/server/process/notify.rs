//! Notifications to systemd (`sd_notify`(3)), by `NOTIFY_SOCKET` and without libsystemd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::warn;
use sd_notify::NotifyState;

use super::traffic::Traffic;
use crate::revocation::SyncPhase;
use crate::server::reload_record::ReloadRecord;
use crate::server::snapshot::SharedSnapshot;

/// Tells systemd the state of the process. Without `NOTIFY_SOCKET` it does nothing.
pub(crate) struct Notify {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) reloads: Arc<ReloadRecord>,
    /// The public addresses, for people to read.
    pub(crate) addresses: String,
    /// Whether `READY=1` was sent. It is first sent when a self-probe was answered.
    pub(crate) is_ready: AtomicBool,
}

impl Notify {
    /// Customers are served.
    pub(crate) fn ready(&self) {
        self.is_ready.store(true, Ordering::Release);
        notify_systemd(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
    }

    /// Customers are still served.
    pub(crate) fn alive(&self) {
        notify_systemd(&[NotifyState::Watchdog, NotifyState::Status(&self.status())]);
    }

    /// The configuration is being read anew.
    pub(crate) fn reloading(&self) {
        if let (true, Ok(now)) = (self.may_reload(), NotifyState::monotonic_usec_now()) {
            notify_systemd(&[NotifyState::Reloading, now]);
        }
    }

    /// The configuration was read, or refused.
    pub(crate) fn reloaded(&self) {
        if self.may_reload() {
            self.ready();
        }
    }

    /// The process is to stop.
    pub(crate) fn stopping(&self) {
        let in_flight = self.traffic.in_flight();
        let status = format!("stopping; {in_flight} requests in flight");
        notify_systemd(&[NotifyState::Stopping, NotifyState::Status(&status)]);
    }

    /// Whether customers have been served.
    pub(crate) fn has_been_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// A reload is notified only between the start and the stop, which have their own notifications.
    fn may_reload(&self) -> bool {
        self.is_ready.load(Ordering::Acquire) && !self.traffic.is_stopping()
    }

    /// One line, for `systemctl status`.
    fn status(&self) -> String {
        let snapshot = self.snapshot.load();
        let shops = snapshot.gate.shops().len();
        let counts = snapshot.gate.revocations().counts();
        let revocations = counts.tokens + counts.undated + counts.cutoffs;
        let failed = if self.reloads.is_last_good() {
            ""
        } else {
            "; the last reload failed"
        };
        let state = match snapshot.gate.revocations().sync_state().state() {
            SyncPhase::Ready => String::new(),
            state @ (SyncPhase::Starting
            | SyncPhase::Restoring
            | SyncPhase::Syncing
            | SyncPhase::Stale) => {
                format!("{}: ", state.name())
            }
        };
        format!(
            "{state}serving {shops} shop{} on {}; {revocations} revocation{}{failed}",
            plural(shops as u64),
            self.addresses,
            plural(revocations),
        )
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn notify_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("systemd can't be notified: {error}");
    }
}
