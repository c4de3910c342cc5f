//! A request's way to its shop: the server that it is tried on, and another one while nothing was sent.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AGE, DATE};
use http::request::Parts;
use log::warn;
use pingora::http::ResponseHeader;
use pingora::{Error, OkOrErr, Result};

use super::site::Site;
use super::upstream::{Errand, NO_SERVER, Server, Upstreams};
use crate::clock::{self, UnixTime};
use crate::request::Shop;

/// The way of one request.
pub(super) struct Trip {
    shop: Arc<Shop>,
    upstreams: Arc<Upstreams>,
    /// The server that it is tried on.
    errand: Option<Errand>,
    /// The servers that it failed on before anything was sent.
    failed: Vec<Arc<Server>>,
    /// When it was sent to the shop.
    sent_ms: u64,
}

impl Trip {
    /// To a server of this shop, yet to be chosen. `None`: the site has none for it.
    pub(super) fn to(shop: &Arc<Shop>, site: &Site) -> Option<Self> {
        let upstreams = site.upstreams.get(&shop.name)?;
        Some(Self {
            shop: Arc::clone(shop),
            upstreams: Arc::clone(upstreams),
            errand: None,
            failed: Vec::new(),
            sent_ms: 0,
        })
    }

    /// The servers of the shop.
    pub(super) fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Chooses a server, which counts the request from now on.
    pub(super) fn send_off(
        &mut self,
        head: &Parts,
        client: impl FnOnce() -> IpAddr,
    ) -> Result<Arc<Server>> {
        self.errand = None;
        let errand = self.upstreams.errand(head, client, &self.failed);
        let errand = errand.or_err(NO_SERVER, "no server of the shop has an address")?;
        let server = Arc::clone(errand.server());
        self.errand = Some(errand);
        Ok(server)
    }

    /// It is being sent now.
    pub(super) fn note_sending(&mut self) {
        self.sent_ms = clock::now_ms();
    }

    /// The server can't be connected to. Returns whether there is another.
    pub(super) fn give_up(&mut self, error: &Error) -> bool {
        self.note_failure(&error.to_string()); // nothing of the request is in it yet
        if let Some(errand) = self.errand.take() {
            self.failed.push(Arc::clone(errand.server()));
        }
        self.upstreams.has_other(&self.failed)
    }

    /// The server failed after it was connected to.
    pub(super) fn note_failure(&self, error: &str) {
        if let Some(errand) = &self.errand {
            self.upstreams.note_failure(errand.server(), error);
        }
    }

    /// The server has failed, and the request is not its any more.
    pub(super) fn fail(&mut self, error: &str) {
        self.note_failure(error);
        self.errand = None;
    }

    /// A server has done its duty where nothing failed on the way.
    pub(super) fn note_end(&mut self, error: Option<&Error>) {
        if let (Some(errand), None) = (self.errand.take(), error) {
            self.upstreams.note_success(errand.server());
        }
    }

    /// Learns how far the shop's clock is off, from an answer that no cache has kept.
    pub(super) fn learn_clock(&self, response: &ResponseHeader) {
        if response.headers.contains_key(AGE) {
            return;
        }
        let date = response
            .headers
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let Some(date) = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
        else {
            return;
        };
        let (shop, clock) = (self.shop.name.as_str(), &self.shop.clock);
        let before = clock.offset_s();
        let date = UnixTime::from_seconds(date.as_secs());
        clock.observe(self.sent_ms, clock::now_ms(), date);
        let offset_s = clock.offset_s();
        if offset_s != before && offset_s.abs() > 2 {
            warn!(shop, offset_s; "the shop's clock differs from ours; cutoffs follow the shop's");
        }
    }
}
