//! A `WordPress` site, and the storefront APIs that its plugins add to it.

mod site;
mod login;
mod refresh_tokens;
mod cocart;

use std::sync::Arc;

use super::api::{Api, Backroom};

use self::cocart::Cocart;

/// What the names of this site's cookies end in: `WordPress` takes the MD5 of its address.
pub(super) const COOKIE_HASH: &str = "9f86d081884c7d659a2feaa0c55ad015";
/// What the link "log out" carries. The real one depends on the session and on the hour.
pub(super) const LOGOUT_NONCE: &str = "3fd2c1b0a9";

/// `CoCart`, with its plugin for JWTs.
pub(super) fn with_cocart(backroom: Arc<Backroom>) -> Box<dyn Api> {
    Box::new(Cocart::new(backroom))
}

#[cfg(test)]
mod tests;
