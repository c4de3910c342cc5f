//! Customers of the shop, by number: their tokens, and what their browsers send.

use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use doorward::clock::{self, UnixTime};
use doorward::request::{Gate, Request, Verdict};
use doorward::revocation::{Journal, Revocation, Revocations};
use http::request::Parts;
use tempfile::TempDir;

use crate::support::crowd::{self, LIFETIME};
use crate::support::mint::Mint;
use crate::support::storefront;

/// Tokens that end before the benchmark does would prove nothing.
const REST_OF_LIFE: Duration = Duration::from_hours(2);

/// Everybody who has an account.
pub struct Customers {
    mint: Mint,
    now: UnixTime,
    /// The next one of whom nothing was heard yet.
    next: u64,
}

impl Customers {
    /// With tokens that were issued at any time in the last week.
    pub fn new() -> Self {
        Self {
            mint: Mint::new("HS256"),
            now: clock::now(),
            next: 0,
        }
    }

    /// The secret of the shop.
    pub fn secret(&self) -> String {
        self.mint.key_file()
    }

    /// So many whom nobody has seen yet.
    pub fn fresh(&mut self, count: u64) -> std::ops::Range<u64> {
        let first = self.next;
        self.next += count;
        first..self.next
    }

    /// This customer asks for a page.
    pub fn visit(&self, number: u64) -> Rc<[u8]> {
        bytes_of(&storefront::visit(&self.token(number)))
    }

    /// This customer logs out.
    pub fn logout(&self, number: u64) -> Rc<[u8]> {
        bytes_of(&storefront::logout(&self.token(number)))
    }

    fn token(&self, number: u64) -> String {
        let ends = crowd::end_of(number, self.now);
        let ends = ends.max(self.now.plus(REST_OF_LIFE));
        self.mint.token(number, ends.minus(LIFETIME / 2))
    }

    /// What the logouts of these customers revoke: the token, and all older ones of the customer.
    pub fn revocations(&self, numbers: impl Iterator<Item = u64>) -> Vec<Revocation> {
        let folder = TempDir::new().expect("a temporary folder");
        Journal::init(folder.path()).expect("a new folder takes a journal");
        let revocations = Revocations::open(folder.path()).expect("it was made");
        let gate = storefront::gate(&self.mint, &Arc::new(revocations));
        let revoked = |number| self.revoked_by(&gate, number);
        numbers.flat_map(revoked).collect()
    }

    fn revoked_by(&self, gate: &Gate, number: u64) -> Vec<Revocation> {
        let head = storefront::logout(&self.token(number));
        let request = Request::new(&head, None);
        match gate.judge(&request, self.now) {
            Ok(Verdict::LogOut(leaving)) => leaving.revocations,
            Ok(_) | Err(_) => panic!("a good token logs out"),
        }
    }
}

/// A request without a body, as it travels.
fn bytes_of(head: &Parts) -> Rc<[u8]> {
    let mut text = format!("{} {} HTTP/1.1\r\n", head.method, head.uri);
    for (name, value) in &head.headers {
        let value = value.to_str().expect("it was written here");
        let _ = write!(text, "{name}: {value}\r\n"); // a text takes anything
    }
    text += "content-length: 0\r\n\r\n";
    text.into_bytes().into()
}
