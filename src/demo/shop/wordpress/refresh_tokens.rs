//! The refresh tokens of `CoCart`'s plugin for JWTs: opaque, for one use, each beside the token it was issued with.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::demo::shop::customers::Customer;
use crate::demo::shop::mint::{HEXADECIMAL, Mint};

const LIFETIME_S: i64 = 30 * 24 * 3600;

/// What a refresh token stands for.
#[derive(Clone)]
pub(super) struct RefreshGrant {
    pub(super) customer: Customer,
    /// The JWT that was issued with it, and that a refresh ends.
    pub(super) jwt: String,
    expires_at: i64,
}

/// All that were issued and not used.
#[derive(Default)]
pub(super) struct RefreshTokens(Mutex<HashMap<String, RefreshGrant>>);

impl RefreshTokens {
    /// 128 hexadecimal digits.
    pub(super) fn issue(&self, mint: &Mint, customer: &Customer, jwt: &str) -> String {
        let token = mint.random_text(HEXADECIMAL, 128);
        let grant = RefreshGrant {
            customer: customer.clone(),
            jwt: jwt.to_owned(),
            expires_at: mint.clock.now() + LIFETIME_S,
        };
        self.0.lock().insert(token.clone(), grant);
        token
    }

    /// What it stands for, once; or what the plugin says against it.
    pub(super) fn redeem(&self, token: &str, now: i64) -> Result<RefreshGrant, &'static str> {
        match self.0.lock().remove(token) {
            Some(grant) if grant.expires_at <= now => Err("Refresh token expired."),
            Some(grant) => Ok(grant),
            None => Err("Invalid refresh token."),
        }
    }

    pub(super) fn forget(&self, customer: &Customer) {
        let mut all = self.0.lock();
        all.retain(|_, grant| grant.customer.id != customer.id);
    }
}
