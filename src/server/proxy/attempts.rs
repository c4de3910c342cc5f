//! The attempts to send a request to its shop: on one server, then on another while nothing was sent.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::header::{AGE, DATE};
use http::request::Parts;
use log::warn;
use pingora::http::ResponseHeader;
use pingora::{Error, Result};

use crate::clock::{self, UnixTime};
use crate::request::{ClockWarning, Route, Shop, UpstreamName};
use crate::server::snapshot::Snapshot;
use crate::server::upstream::{ClientEnds, InFlightGuard, UpstreamServer, Upstreams};

/// The attempts of one request.
pub(crate) struct UpstreamAttempts {
    shop: Arc<Shop>,
    upstreams: Arc<Upstreams>,
    /// The server of the current attempt.
    guard: Option<InFlightGuard>,
    /// The servers that failed before anything was sent.
    failed: Vec<Arc<UpstreamServer>>,
    /// When it was sent to the shop.
    sent_ms: u64,
}

impl UpstreamAttempts {
    /// To a server to which this route of the shop leads, yet to be chosen, of the upstream that holds the client. `None`: the shop
    /// has no upstream.
    pub(crate) fn on_route(
        shop: &Arc<Shop>,
        route: Option<&Route>,
        held_by: Option<&UpstreamName>,
        snapshot: &Snapshot,
    ) -> Option<Self> {
        let upstreams = snapshot.pools.of_route(&shop.name, route, held_by)?;
        Some(Self {
            shop: Arc::clone(shop),
            upstreams: Arc::clone(upstreams),
            guard: None,
            failed: Vec::new(),
            sent_ms: 0,
        })
    }

    /// The servers of the shop.
    pub(crate) fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Chooses a server, which counts the request from now on. Waits for one if all of them are full.
    pub(crate) async fn choose_server(
        &mut self,
        head: &Parts,
        from: ClientEnds,
    ) -> Result<Arc<UpstreamServer>> {
        self.guard = None;
        let chosen = self.upstreams.choose(head, from.client_ip(), &self.failed);
        Ok(self.go_to(chosen.await?))
    }

    /// As `choose_server`. `None`: it has to wait.
    pub(crate) fn choose_server_at_once(
        &mut self,
        head: &Parts,
        from: ClientEnds,
    ) -> Result<Option<Arc<UpstreamServer>>> {
        self.guard = None;
        let client = from.client_ip();
        let chosen = self.upstreams.choose_at_once(head, client, &self.failed)?;
        Ok(chosen.map(|guard| self.go_to(guard)))
    }

    fn go_to(&mut self, guard: InFlightGuard) -> Arc<UpstreamServer> {
        let server = Arc::clone(guard.server());
        self.guard = Some(guard);
        server
    }

    /// The cookie that holds the client on the server which has answered, by its name and value. `None`: it has that one.
    pub(crate) fn cookie_to_set(&self, head: &Parts) -> Option<(&str, String)> {
        let server = self.guard.as_ref()?.server();
        self.upstreams.cookie_to_set(head, server, &self.failed)
    }

    /// The request is being sent.
    pub(crate) fn note_sending(&mut self) {
        self.sent_ms = clock::now_ms();
    }

    /// The server can't be connected to. Returns whether there is another.
    pub(crate) fn note_unreachable(&mut self, error: &Error) -> bool {
        self.note_failure(&error.to_string()); // nothing of the request is in it yet
        if let Some(guard) = self.guard.take() {
            self.failed.push(Arc::clone(guard.server()));
        }
        self.upstreams.has_other(&self.failed)
    }

    /// The next attempt goes to another server, or to any if all were tried.
    pub(crate) fn turn_to_another(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.failed.push(Arc::clone(guard.server()));
        }
        if !self.upstreams.has_other(&self.failed) {
            self.failed.clear();
        }
    }

    /// The server failed after it was connected to.
    pub(crate) fn note_failure(&self, error: &str) {
        if let Some(guard) = &self.guard {
            self.upstreams.note_failure(guard.server(), error);
        }
    }

    /// The server has failed, and no longer has the request in flight.
    pub(crate) fn abandon(&mut self, error: &str) {
        self.note_failure(error);
        self.guard = None;
    }

    /// The exchange has ended; a success unless there is an error.
    pub(crate) fn note_end(&mut self, error: Option<&Error>) {
        if let (Some(guard), None) = (self.guard.take(), error) {
            self.upstreams.note_success(guard.server());
        }
    }

    /// Learns the clock offset of the server, from an answer that was not cached.
    pub(crate) fn learn_clock(&self, response: &ResponseHeader) {
        let Some((guard, date)) = self.guard.as_ref().zip(date_of(&response.headers)) else {
            return;
        };
        let (shop, address) = (self.shop.name.as_str(), guard.server().address());
        let times_ms = (self.sent_ms, clock::now_ms());
        match self.shop.clock.observe(address, times_ms, date) {
            None => {}
            Some(ClockWarning::Differs(offset_s)) => {
                warn!(shop, address:%, offset_s; "the shop's clock differs from ours; cutoffs follow the earliest clock of its servers");
            }
            Some(ClockWarning::Disbelieved(offset_s)) => {
                warn!(shop, address:%, offset_s; "a Date of the shop is further from our clock than clock_offset_max, and is ignored: new logins may be refused after a logout everywhere until that clock, or ours, is set");
            }
        }
    }
}

/// The `Date` of an answer; `None` if it may come from a cache, or has no single `Date`.
fn date_of(headers: &HeaderMap) -> Option<UnixTime> {
    if headers.contains_key(AGE) {
        return None;
    }
    let mut dates = headers.get_all(DATE).iter();
    let (Some(only), None) = (dates.next(), dates.next()) else {
        return None;
    };
    let date = httpdate::parse_http_date(only.to_str().ok()?).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime::from_seconds(since_epoch.as_secs()))
}
