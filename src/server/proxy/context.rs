//! What is known of one request while it is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::{Error, ErrorType, OkOrErr, Result};
use smallvec::SmallVec;

use super::answer::minting::Minting;
use super::attempts::Trip;
use super::body::budget::BodyShare;
use super::forwarding::Told;
use crate::clock;
use crate::request::{DeadCookie, Shop, Token, Tokens};
use crate::revocation::Id;
use crate::server::connection::revocation_watch::{Lease, Terms};
use crate::server::process::traffic::InFlight;
use crate::server::snapshot::Site;
use crate::server::upstream::Upstreams;

/// What is known of one request.
pub(crate) struct Context {
    /// The configuration that it is served by.
    pub(crate) site: Arc<Site>,
    /// Its name, in our log and the shop's.
    pub(crate) id: String,
    /// The shop that it goes to.
    pub(crate) shop: Option<Arc<Shop>>,
    /// When its header block had arrived.
    pub(crate) begun: Instant,
    /// Whether we sent it ourselves.
    pub(crate) is_own: bool,
    /// What was read of a body that is too long to be examined, and goes to the shop all the same.
    pub(crate) read_ahead: Bytes,
    /// The cookies that are taken out of it, for their tokens are dead.
    pub(crate) dead_cookies: Vec<DeadCookie>,
    /// What of that the server which it is tried on has not got.
    pub(crate) unsent: Bytes,
    /// What it has of the budget for bodies.
    pub(crate) body_share: Option<BodyShare>,
    /// Its tokens of which nothing is known but themselves.
    opaque: SmallVec<[Id; 2]>,
    /// Whether an answer of success says that the shop knows the one token that it stands on.
    is_proof: bool,
    /// What its answer hands out, where it is a call that does.
    pub(crate) minting: Option<Minting>,
    /// Its way there.
    trip: Option<Trip>,
    in_flight: Arc<InFlight>,
}

impl Context {
    /// Of a request that has just arrived.
    pub(crate) fn of(site: Arc<Site>, in_flight: InFlight) -> Self {
        Self {
            site,
            id: String::new(),
            shop: None,
            begun: clock::instant(),
            is_own: false,
            read_ahead: Bytes::new(),
            unsent: Bytes::new(),
            dead_cookies: Vec::new(),
            body_share: None,
            opaque: SmallVec::new(),
            is_proof: false,
            minting: None,
            trip: None,
            in_flight: Arc::new(in_flight),
        }
    }

    /// It goes to this shop, for as long as none of its tokens is revoked.
    pub(crate) fn admit(&mut self, shop: &Arc<Shop>, tokens: Tokens) {
        self.shop = Some(Arc::clone(shop));
        self.trip = Trip::to(shop, &self.site);
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

    /// Notes which of its tokens are opaque; whether the shop answers it with success only if it knows who asks.
    pub(crate) fn note_opaque(&mut self, tokens: &Tokens, is_demanded: bool) {
        self.opaque = tokens.iter().filter_map(Token::opaque_id).collect();
        self.is_proof = is_demanded && tokens.len() == 1;
    }

    /// The shop answers it with success: it may know its opaque tokens, or does.
    pub(crate) fn note_accepted(&self) {
        let Some(shop) = &self.shop else {
            return;
        };
        for token in &self.opaque {
            shop.likely.note(*token);
            if self.is_proof {
                let set = self.site.gate.revocations();
                let until = shop.verifier.settings().undated_until(clock::now());
                set.note_accepted(token, until, shop.meaning());
            }
        }
    }

    /// Whether it takes longer than most.
    pub(crate) fn is_long(&self) -> bool {
        /// After that time its tokens are looked up again.
        const LONG: Duration = Duration::from_millis(500);
        clock::instant().duration_since(self.begun) >= LONG
    }

    /// Its way to its shop.
    pub(crate) fn trip(&mut self) -> Result<&mut Trip> {
        let trip = self.trip.as_mut();
        trip.or_err(ErrorType::InternalError, "a shop without upstream")
    }

    /// What its shop is told of it.
    pub(crate) fn told<'a>(&'a self, upstreams: &'a Upstreams) -> Told<'a> {
        Told {
            id: &self.id,
            stale_s: self.site.gate.revocations().standing().stale_s(),
            host: upstreams.host(),
        }
    }

    /// The server failed after it was connected to.
    pub(crate) fn note_failure(&self, error: &str) {
        if let Some(trip) = &self.trip {
            trip.note_failure(error);
        }
    }

    /// A server has done its duty where nothing failed on the way.
    pub(crate) fn note_end(&mut self, error: Option<&Error>) {
        if let Some(trip) = &mut self.trip {
            trip.note_end(error);
        }
    }

    /// The process waits for as long as this is held: for what goes on after the customer left.
    pub(crate) fn in_flight(&self) -> Arc<InFlight> {
        Arc::clone(&self.in_flight)
    }
}
