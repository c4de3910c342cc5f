//! Connections without a fit header of the PROXY protocol: logged once a minute for each reason and listener.

use std::time::Duration;

use log::warn;
use parking_lot::Mutex;

use super::super::listener::ListenerNumber;
use crate::clients::Peer;
use crate::clock;
use crate::log_limit::LogLimit;

/// How long the same is not logged again.
const SILENCE: Duration = Duration::from_mins(1);

/// How many reasons of listeners are logged in that time.
const REASONS_MAX: usize = 64;

/// What was logged lately.
pub(crate) struct ProxyHeaderLog(Mutex<LogLimit<(usize, &'static str)>>);

impl Default for ProxyHeaderLog {
    fn default() -> Self {
        Self(Mutex::new(LogLimit::new(SILENCE, REASONS_MAX)))
    }
}

impl ProxyHeaderLog {
    /// Logs that a connection was refused.
    pub(crate) fn note(&self, listener: ListenerNumber, peer: Peer, reason: &'static str) {
        let ListenerNumber(place) = listener;
        if self.0.lock().is_due((place, reason), clock::uptime_ms()) {
            let listener = place + 1;
            warn!(listener, peer:%, reason; "connection refused: no header of the PROXY protocol from a proxy in proxy_protocol");
        }
    }
}
