//! A pretend shop as tests and the demo use it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::failure::ShopFailure;
use super::ledger::Mood;
use super::listener::ShopListener;
use super::mint::{self, Coinage, Mint};
use super::service::ShopService;
use super::storefront::Storefront;
use super::wire::SeenRequest;
use super::{bagisto, customers, ecwid, wordpress};

/// A shop that is open; dropping it closes it and every connection to it.
pub struct PretendShop {
    storefront: Storefront,
    service: Arc<ShopService>,
    listener: ShopListener,
}

impl PretendShop {
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
        let service = Arc::new(ShopService::new(storefront, mood));
        let served = Arc::clone(&service);
        let listener = ShopListener::open(move |stream| served.serve(stream))?;
        Ok(Self {
            storefront,
            service,
            listener,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Which API it speaks.
    pub fn storefront(&self) -> Storefront {
        self.storefront
    }

    /// Every request that reached the shop, in order.
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.service.seen.lock().clone()
    }

    /// How many requests reached the shop.
    pub fn visits(&self) -> usize {
        self.service.seen.lock().len()
    }

    /// A token of this shop with any claims at all.
    pub fn sign(&self, claims: &Value) -> String {
        Mint::sign(claims)
    }

    /// What a login of this customer answers: a fresh token. Takes a user name or an e-mail address; who has no
    /// account yet gets one.
    pub fn sign_in(&self, customer: &str) -> String {
        self.service
            .api
            .sign_in(&self.service.state.customers.named(customer))
    }

    /// Goes wrong in this way from the next request on.
    pub fn fail(&self, failure: ShopFailure) {
        *self.service.failure.lock() = failure;
    }

    /// Answers this path, whatever the method, with exactly these bytes from now on, and closes the connection after
    /// them: for what no API of this shop says, or says wrongly.
    pub fn recite(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let mut recitals = self.service.recitals.lock();
        recitals.insert(path.to_owned(), answer.into());
    }

    /// The same for the next request for this path only.
    pub fn recite_once(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let mut asides = self.service.asides.lock();
        asides
            .entry(path.to_owned())
            .or_default()
            .push_back(answer.into());
    }

    /// Sets the shop's clock: its `Date`, the times in its tokens, what it takes for expired.
    pub fn set_date_offset(&self, seconds: i64) {
        self.service.state.mint.clock.set_offset(seconds);
    }

    /// Stops the shop's clock: all that happens from now on happens in the same second.
    pub fn stop_the_clock(&self) {
        self.service.state.mint.clock.stop();
    }

    /// Mints JWTs like this from the next login on.
    pub fn coin(&self, coinage: Coinage) {
        self.service.state.mint.coin(coinage);
    }

    /// Whether `<row id>|anything` opens a profile and ends a token, as in Bagisto's code it does. A shop of
    /// `Storefront::BagistoApi` opens like that; the others always compare.
    pub fn trust_row_ids(&self, trusted: bool) {
        self.service.api.trust_row_ids(trusted);
    }

    /// Whether a logout, sent as the customer, has destroyed the cart. Only `CoCart` does that.
    pub fn cart_deleted(&self) -> bool {
        self.service.api.cart_deleted()
    }
}
