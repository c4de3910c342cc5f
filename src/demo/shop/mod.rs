//! A pretend shop: one small program that speaks a storefront API over real sockets.
//!
//! `doorward demo` puts it behind the proxy for whoever wants to see a logout become final; the tests of this
//! crate tell their stories with it.

mod wire;
mod reception;
mod customers;
mod ledger;
mod mint;
mod api;
mod graphql;
mod bagisto;
mod wordpress;
mod ecwid;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use self::api::{Api, Backroom};
use self::ecwid::Ecwid;
use self::mint::Mint;
use self::reception::Reception;
use self::wire::{Conversation, Request};

pub use self::ledger::Mood;
pub use self::mint::Coinage;
pub use self::wire::Seen;

/// Which API the shop speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storefront {
    /// Bagisto's headless shop API as documented. It has the paths of the code as well.
    Bagisto,
    /// Bagisto's headless shop API as its code behaves: opaque tokens, 201 whatever happens, GraphQL beside REST.
    BagistoApi,
    /// Bagisto's older GraphQL API, with JWTs.
    BagistoGraphql,
    /// `CoCart` on `WordPress`.
    Cocart,
    /// A site with an Ecwid store in its pages.
    Ecwid,
}

/// How the shop goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not at all.
    None,
    /// Every request is answered with this status.
    Status(u16),
    /// The shop does not know its own logout path.
    NotFoundAtLogout,
    /// Every request closes its connection, unanswered.
    HangUp,
    /// No request is answered; its connection stays open until the client closes it or the shop is dropped.
    Silent,
}

/// A shop that is open; dropping it closes it and every connection to it.
pub struct Shop {
    storefront: Storefront,
    floor: Arc<Floor>,
    reception: Reception,
}

impl Shop {
    /// What every shop signs its tokens with, HS256.
    pub const SECRET: &str = mint::SECRET;
    /// The `iss` of every shop's tokens.
    pub const ISSUER: &str = mint::ISSUER;
    /// The `X-STOREFRONT-KEY` that a Bagisto shop accepts.
    pub const KEY: &str = bagisto::KEY;
    /// What the names of a `WordPress` shop's cookies end in.
    pub const COOKIE_HASH: &str = wordpress::COOKIE_HASH;
    /// The `_wpnonce` of a `WordPress` shop's logout link.
    pub const LOGOUT_NONCE: &str = wordpress::LOGOUT_NONCE;
    /// The cookie by which a site with an Ecwid store knows its customers.
    pub const SITE_COOKIE: &str = ecwid::COOKIE;
    /// Every customer's password.
    pub const PASSWORD: &str = customers::PASSWORD;

    /// Opens a shop on a free port of the loopback.
    pub fn open(storefront: Storefront, mood: Mood) -> io::Result<Self> {
        let floor = Arc::new(Floor::of(storefront, mood));
        let served = Arc::clone(&floor);
        let reception = Reception::open(move |stream| served.serve(stream))?;
        Ok(Self {
            storefront,
            floor,
            reception,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.reception.address()
    }

    /// Which API it speaks.
    pub fn storefront(&self) -> Storefront {
        self.storefront
    }

    /// Every request that reached the shop, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.floor.seen.lock().clone()
    }

    /// How many requests reached the shop.
    pub fn visits(&self) -> usize {
        self.floor.seen.lock().len()
    }

    /// A token of this shop with any claims at all.
    pub fn sign(&self, claims: &Value) -> String {
        Mint::sign(claims)
    }

    /// What a login of this customer answers: a fresh token. Takes a user name or an e-mail address; who has no
    /// account yet gets one.
    pub fn sign_in(&self, customer: &str) -> String {
        self.floor
            .api
            .sign_in(&self.floor.backroom.customers.named(customer))
    }

    /// Goes wrong in this way from the next request on.
    pub fn fail(&self, failure: Failure) {
        *self.floor.failure.lock() = failure;
    }

    /// Answers this path, whatever the method, with exactly these bytes from now on, and closes the connection after
    /// them: for what no API of this shop says, or says wrongly.
    pub fn recite(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let mut recitals = self.floor.recitals.lock();
        recitals.insert(path.to_owned(), answer.into());
    }

    /// The same for the next request for this path only.
    pub fn recite_once(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let mut asides = self.floor.asides.lock();
        asides
            .entry(path.to_owned())
            .or_default()
            .push_back(answer.into());
    }

    /// Sets the shop's clock: its `Date`, the times in its tokens, what it takes for expired.
    pub fn set_date_offset(&self, seconds: i64) {
        self.floor.backroom.mint.clock.set_offset(seconds);
    }

    /// Stops the shop's clock: all that happens from now on happens in the same second.
    pub fn stop_the_clock(&self) {
        self.floor.backroom.mint.clock.stop();
    }

    /// Mints JWTs like this from the next login on.
    pub fn coin(&self, coinage: Coinage) {
        self.floor.backroom.mint.coin(coinage);
    }

    /// Whether `<row id>|anything` opens a profile and ends a token, as in Bagisto's code it does. A shop of
    /// `Storefront::BagistoApi` opens like that; the others always compare.
    pub fn trust_row_ids(&self, trusted: bool) {
        self.floor.api.trust_row_ids(trusted);
    }

    /// Whether a logout, sent as the customer, has destroyed the cart. Only `CoCart` does that.
    pub fn cart_deleted(&self) -> bool {
        self.floor.api.cart_deleted()
    }
}

/// The shop as its connections see it.
struct Floor {
    api: Box<dyn Api>,
    backroom: Arc<Backroom>,
    seen: Mutex<Vec<Seen>>,
    failure: Mutex<Failure>,
    recitals: Mutex<HashMap<String, Vec<u8>>>,
    asides: Mutex<HashMap<String, VecDeque<Vec<u8>>>>,
}

impl Floor {
    fn of(storefront: Storefront, mood: Mood) -> Self {
        let backroom = Arc::new(Backroom::in_mood(mood));
        let known = Arc::clone(&backroom);
        let api: Box<dyn Api> = match storefront {
            Storefront::Bagisto => bagisto::as_documented(known),
            Storefront::BagistoApi => bagisto::as_coded(known),
            Storefront::BagistoGraphql => bagisto::as_graphql(known),
            Storefront::Cocart => wordpress::with_cocart(known),
            Storefront::Ecwid => Box::new(Ecwid::new(known)),
        };
        Self {
            api,
            backroom,
            seen: Mutex::default(),
            failure: Mutex::new(Failure::None),
            recitals: Mutex::default(),
            asides: Mutex::default(),
        }
    }

    /// One connection, until either side ends it. What goes wrong on it is the client's business.
    fn serve(&self, stream: TcpStream) {
        let mut conversation = Conversation::on(stream);
        while let Ok(true) = self.serve_request(&mut conversation) {}
    }

    /// False when nothing more will be said on this connection.
    fn serve_request(&self, conversation: &mut Conversation) -> io::Result<bool> {
        let request = match conversation.next_request() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(false),
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
                conversation.refuse(&self.backroom.mint.clock.date())?;
                return Ok(false);
            }
            Err(fault) => return Err(fault),
        };
        self.seen.lock().push(request.seen.clone());
        self.respond(conversation, &request)?;
        Ok(!request.last)
    }

    /// What was said to be answered to this path.
    fn recital(&self, path: &str) -> Option<Vec<u8>> {
        let aside = self
            .asides
            .lock()
            .get_mut(path)
            .and_then(VecDeque::pop_front);
        aside.or_else(|| self.recitals.lock().get(path).cloned())
    }

    fn respond(&self, conversation: &mut Conversation, request: &Request) -> io::Result<()> {
        let failure = *self.failure.lock();
        let recital = self.recital(&request.seen.path());
        let answer = match failure {
            Failure::Status(status) => api::failed(&*self.api, status),
            Failure::NotFoundAtLogout if self.api.is_logout(&request.seen) => self.api.not_found(),
            Failure::None | Failure::NotFoundAtLogout => match recital {
                Some(bytes) => return conversation.recite(&bytes),
                None => self.api.answer(&request.seen),
            },
            Failure::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
            Failure::Silent => return conversation.stay_silent(),
        };
        conversation.answer(request, &answer, &self.backroom.mint.clock.date())
    }
}

#[cfg(test)]
mod tests;
