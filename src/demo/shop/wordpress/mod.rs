//! A `WordPress` site, and the storefront APIs that its plugins add to it.

mod cocart;
mod login;
mod refresh_tokens;
mod site;

pub(super) use cocart::Cocart;
pub(super) use site::{COOKIE_HASH, LOGOUT_NONCE};

#[cfg(test)]
mod tests;
