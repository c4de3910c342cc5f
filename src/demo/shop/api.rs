//! What a storefront API has to be able to do for the pretend shop.

use serde_json::json;

use super::customers::{Customer, Customers};
use super::ledger::{Mood, TokenLedger};
use super::mint::Mint;
use super::wire::{SeenRequest, ShopAnswer};

/// What the shop knows, whichever API it speaks.
pub(super) struct ShopState {
    pub(super) customers: Customers,
    pub(super) mint: Mint,
    pub(super) ledger: TokenLedger,
}

impl ShopState {
    pub(super) fn in_mood(mood: Mood) -> Self {
        Self {
            customers: Customers::regulars(),
            mint: Mint::new(),
            ledger: TokenLedger::in_mood(mood),
        }
    }
}

/// One storefront's way of speaking.
pub(super) trait Api: Send + Sync {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer;

    /// A fresh token, as a login would issue it.
    fn sign_in(&self, customer: &Customer) -> String;

    fn is_logout(&self, request: &SeenRequest) -> bool;

    /// What the storefront says about a path it does not have.
    fn not_found(&self) -> ShopAnswer;

    /// Whether a logout has destroyed a cart; most storefronts leave it alone.
    fn cart_deleted(&self) -> bool {
        false
    }

    /// What the storefront says to a client that asks too often.
    fn limited(&self) -> ShopAnswer {
        let body = json!({"message": "Rate limit exceeded", "error": "rate_limit_exceeded", "retry_after": 60});
        ShopAnswer::json(429, &body).with("Retry-After", "60")
    }

    /// Whether the number of its row passes for a token; most storefronts compare the rest, too.
    fn trust_row_ids(&self, _trusted: bool) {}
}

/// The answer of a shop that is told to fail with this status.
pub(super) fn failed(api: &dyn Api, status: u16) -> ShopAnswer {
    if status == 429 {
        return api.limited();
    }
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or("ShopFailure");
    ShopAnswer::json(status, &json!({"message": reason}))
}
