//! A pretend shop: one small program that speaks a storefront API over real sockets.
//!
//! `doorward demo` runs it behind the proxy, so that you see a logout become final; the tests of this crate use it as
//! their shop.
//!
//! More than a dozen files: beside one folder for each storefront, each file is one part of a shop.

mod api;
mod bagisto;
mod customers;
mod ecwid;
mod failure;
mod graphql;
mod ledger;
mod listener;
mod mint;
mod pretend_shop;
mod service;
mod storefront;
mod wire;
mod wordpress;

pub use failure::ShopFailure;
pub use ledger::Mood;
pub use mint::Coinage;
pub use pretend_shop::PretendShop;
pub use storefront::Storefront;
pub use wire::SeenRequest;

#[cfg(test)]
mod tests;
