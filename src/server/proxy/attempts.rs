//! A request's way to its shop: the server that it is tried on, and another one while nothing was sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::header::{AGE, DATE};
use http::request::Parts;
use log::warn;
use pingora::http::ResponseHeader;
use pingora::{Error, OkOrErr, Result};

use crate::clock::{self, UnixTime};
use crate::request::{ClockWarning, Shop};
use crate::server::snapshot::Site;
use crate::server::upstream::{Errand, NO_SERVER, Server, Upstreams};

/// The way of one request.
pub(crate) struct Trip {
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
    pub(crate) fn to(shop: &Arc<Shop>, site: &Site) -> Option<Self> {
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
    pub(crate) fn upstreams(&self) -> &Arc<Upstreams> {
        &self.upstreams
    }

    /// Chooses a server, which counts the request from now on.
    pub(crate) fn send_off(
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
    pub(crate) fn note_sending(&mut self) {
        self.sent_ms = clock::now_ms();
    }

    /// The server can't be connected to. Returns whether there is another.
    pub(crate) fn give_up(&mut self, error: &Error) -> bool {
        self.note_failure(&error.to_string()); // nothing of the request is in it yet
        if let Some(errand) = self.errand.take() {
            self.failed.push(Arc::clone(errand.server()));
        }
        self.upstreams.has_other(&self.failed)
    }

    /// The server failed after it was connected to.
    pub(crate) fn note_failure(&self, error: &str) {
        if let Some(errand) = &self.errand {
            self.upstreams.note_failure(errand.server(), error);
        }
    }

    /// The server has failed, and the request is not its any more.
    pub(crate) fn fail(&mut self, error: &str) {
        self.note_failure(error);
        self.errand = None;
    }

    /// A server has done its duty where nothing failed on the way.
    pub(crate) fn note_end(&mut self, error: Option<&Error>) {
        if let (Some(errand), None) = (self.errand.take(), error) {
            self.upstreams.note_success(errand.server());
        }
    }

    /// Learns how far the clock of the server is off, from an answer that no cache has kept.
    pub(crate) fn learn_clock(&self, response: &ResponseHeader) {
        let Some((errand, date)) = self.errand.as_ref().zip(date_of(&response.headers)) else {
            return;
        };
        let (shop, address) = (self.shop.name.as_str(), errand.server().address());
        let times_ms = (self.sent_ms, clock::now_ms());
        match self.shop.clock.observe(address, times_ms, date) {
            None => {}
            Some(ClockWarning::Differs(offset_s)) => {
                warn!(shop, address:%, offset_s; "the shop's clock differs from ours; cutoffs follow the earliest clock of its servers");
            }
            Some(ClockWarning::Disbelieved(offset_s)) => {
                warn!(shop, address:%, offset_s; "a Date of the shop is further from our clock than clock_offset_max, and is not believed: new logins may be refused after a logout everywhere until that clock, or ours, is set");
            }
        }
    }
}

/// When an answer says it was made; nothing, if a cache may have kept it, or if it does not say so once.
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
