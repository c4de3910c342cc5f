//! What is known of one request while it is served: its shop, and the server that it is tried on.

use std::sync::Arc;
use std::time::Instant;

use http::header::{AGE, DATE};
use log::warn;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, OkOrErr, Result};
use pingora_proxy::Session;

use super::connection::{Lease, Terms};
use super::site::Site;
use super::traffic::InFlight;
use super::upstream::{Errand, NO_SERVER, Server, Upstreams};
use crate::clock::{self, UnixTime};
use crate::request::{Shop, Tokens};

/// What is known of one request.
pub(super) struct Context {
    /// The configuration that it is served by.
    pub(super) site: Arc<Site>,
    /// Its name, in our log and the shop's.
    pub(super) id: String,
    /// The shop that it goes to.
    pub(super) shop: Option<Arc<Shop>>,
    /// When it was sent to the shop.
    pub(super) sent_ms: u64,
    /// When its header block had arrived.
    pub(super) begun: Instant,
    /// Whether we sent it ourselves.
    pub(super) is_own: bool,
    /// The server that it is tried on.
    errand: Option<Errand>,
    /// The servers that it failed on before anything was sent.
    failed: Vec<Arc<Server>>,
    _in_flight: InFlight,
}

impl Context {
    /// Of a request that has just arrived.
    pub(super) fn of(site: Arc<Site>, in_flight: InFlight) -> Self {
        Self {
            site,
            id: String::new(),
            shop: None,
            sent_ms: 0,
            begun: clock::instant(),
            is_own: false,
            errand: None,
            failed: Vec::new(),
            _in_flight: in_flight,
        }
    }

    /// It goes to this shop, for as long as none of its tokens is revoked.
    pub(super) fn admit(&mut self, shop: &Arc<Shop>, tokens: Tokens) {
        self.shop = Some(Arc::clone(shop));
        if tokens.is_empty() {
            return;
        }
        Lease::sign(Terms {
            revocations: Arc::clone(self.site.gate.revocations()),
            tokens,
            request: self.id.clone(),
            shop: Arc::clone(shop),
        });
    }

    /// The servers of its shop.
    pub(super) fn upstreams(&self) -> Result<&Arc<Upstreams>> {
        let shop = self.shop.as_ref();
        shop.and_then(|shop| self.site.upstreams.get(&shop.name))
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "a shop without upstream"))
    }

    /// Chooses a server, which counts the request from now on.
    pub(super) fn send_off(&mut self, session: &Session) -> Result<Arc<Server>> {
        self.errand = None;
        let client = || self.site.forwarding.client_of(session);
        let upstreams = self.upstreams()?;
        let errand = upstreams.errand(session.req_header(), client, &self.failed);
        let errand = errand.or_err(NO_SERVER, "no server of the shop has an address")?;
        let server = Arc::clone(errand.server());
        self.errand = Some(errand);
        Ok(server)
    }

    /// The server can't be connected to. Returns whether there is another.
    pub(super) fn give_up(&mut self, error: &Error) -> bool {
        self.note_failure(&error.to_string()); // nothing of the request is in it yet
        if let Some(errand) = self.errand.take() {
            self.failed.push(Arc::clone(errand.server()));
        }
        let upstreams = self.upstreams();
        upstreams.is_ok_and(|upstreams| upstreams.has_other(&self.failed))
    }

    /// The server failed after it was connected to.
    pub(super) fn note_failure(&self, error: &str) {
        if let (Some(errand), Ok(upstreams)) = (&self.errand, self.upstreams()) {
            upstreams.note_failure(errand.server(), error);
        }
    }

    /// The server has failed, and the request is not its any more.
    pub(super) fn fail(&mut self, error: &str) {
        self.note_failure(error);
        self.errand = None;
    }

    /// A server has done its duty where nothing failed on the way.
    pub(super) fn note_end(&mut self, error: Option<&Error>) {
        let Some(errand) = self.errand.take() else {
            return;
        };
        if let (None, Ok(upstreams)) = (error, self.upstreams()) {
            upstreams.note_success(errand.server());
        }
    }

    /// Learns how far the shop's clock is off, from an answer that no cache has kept.
    pub(super) fn learn_clock(&self, response: &ResponseHeader) {
        let (Some(shop), None) = (&self.shop, response.headers.get(AGE)) else {
            return;
        };
        let date = response
            .headers
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let Some(date) = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
        else {
            return;
        };
        let before = shop.clock.offset_s();
        let date = UnixTime::from_seconds(date.as_secs());
        shop.clock.observe(self.sent_ms, clock::now_ms(), date);
        let offset_s = shop.clock.offset_s();
        if offset_s != before && offset_s.abs() > 2 {
            warn!(shop = shop.name.as_str(), offset_s; "the shop's clock differs from ours; cutoffs follow the shop's");
        }
    }
}
