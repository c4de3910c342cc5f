//! What a storefront API has to be able to do for the pretend shop.

use serde_json::json;

use super::customers::{Customer, Customers};
use super::ledger::{Ledger, Mood};
use super::mint::Mint;
use super::wire::{Answer, Seen};

/// What the shop knows, whichever API it speaks.
pub(super) struct Backroom {
    pub(super) customers: Customers,
    pub(super) mint: Mint,
    pub(super) ledger: Ledger,
}

impl Backroom {
    pub(super) fn in_mood(mood: Mood) -> Self {
        Self {
            customers: Customers::regulars(),
            mint: Mint::new(),
            ledger: Ledger::in_mood(mood),
        }
    }
}

/// One storefront's way of speaking.
pub(super) trait Api: Send + Sync {
    fn answer(&self, request: &Seen) -> Answer;

    /// A fresh token, as a login would issue it.
    fn sign_in(&self, customer: &Customer) -> String;

    fn is_logout(&self, request: &Seen) -> bool;

    /// What the storefront says about a path it does not have.
    fn not_found(&self) -> Answer;

    /// Whether a logout has destroyed a cart; most storefronts leave it alone.
    fn cart_deleted(&self) -> bool {
        false
    }

    /// What the storefront says to a client that asks too often.
    fn limited(&self) -> Answer {
        let body = json!({"message": "Rate limit exceeded", "error": "rate_limit_exceeded", "retry_after": 60});
        Answer::json(429, &body).with("Retry-After", "60")
    }

    /// Whether the number of its row passes for a token; most storefronts compare the rest, too.
    fn trust_row_ids(&self, _trusted: bool) {}
}

/// The answer of a shop that is told to fail with this status.
pub(super) fn failed(api: &dyn Api, status: u16) -> Answer {
    if status == 429 {
        return api.limited();
    }
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or("Failure");
    Answer::json(status, &json!({"message": reason}))
}
