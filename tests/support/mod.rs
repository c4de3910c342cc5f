//! The three nouns of every end-to-end story: a shop, an edge, a customer.
//!
//! A story drives the real binary over real sockets. Each file in `tests/` that tells one says `mod support;`.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "no story needs every word, and a test exports none"
)]

mod patience;
mod wire;
mod nobody;
mod log;
mod manager;
mod held_shop;
mod edge;
mod customer;
mod live_client;
mod live_shop;
mod scene;
mod acme_server;
mod aftermath;
mod backend;
mod bare_gate;
mod certificates;
mod chance;
mod claims;
mod fake_clock;
mod house;
mod link;
mod plan;
mod cluster;
mod ledger;
mod crowd;
mod rogue;
mod http2;
mod recorder;
mod web_host;
mod peer;
mod redis_server;
mod relay;
pub mod frames;
pub mod encrypted;
pub mod gatehouse;
pub mod gossip;
pub mod places;
pub mod readers;
pub mod recording;
pub mod rsa_signer;

pub use doorward::demo::shop::{
    Coinage, Mood, PretendShop as Shop, SeenRequest as Seen, ShopFailure as Failure, Storefront,
};

pub use acme_server::{AcmeServer, Issue};
pub use aftermath::Aftermath;
pub use backend::{Backend, Deed, Heard, ok, own_address};
pub use bare_gate::bare_gate;
pub use certificates::{Authority, Identity, put};
pub use chance::Chance;
pub use claims::overlaid;
pub use cluster::{Cluster, Name};
pub use crowd::Crowd;
pub use customer::Customer;
pub use edge::{
    Edge, Outcome, asked_shop_table, doorward, opaque_shop_table, shop_table, shop_table_at,
};
pub use fake_clock::FakeClock;
pub use held_shop::HeldShop;
pub use house::House;
pub use http2::{Call, Echo};
pub use ledger::Ledger;
pub use link::{Condition, Link};
pub use live_client::{Exchange, UPGRADE};
pub use live_shop::{HELLO, LiveShop, chunk};
pub use manager::Manager;
pub use nobody::Nobody;
pub use patience::{PATIENCE, eventually, tick};
pub use peer::{Peer, Program, caddy_options, free_address};
pub use plan::{Plan, certify};
pub use recorder::Recorder;
pub use redis_server::{RedisServer, STREAM};
pub use relay::Relay;
pub use rogue::{GOSSIP, Rogue};
pub use scene::{Scene, told};
pub use web_host::{WebHost, run};
pub use wire::{Answer, Connection, raw, request, said, said_with, try_raw};

/// A Bagisto shop whose tokens outlive their logout: only Doorward can end them.
pub fn stateless_bagisto() -> Shop {
    Shop::open(Storefront::Bagisto, Mood::Stateless).unwrap()
}

/// A `CoCart` shop whose tokens outlive their logout, as those of the real one do when nobody authenticates.
pub fn stateless_cocart() -> Shop {
    Shop::open(Storefront::Cocart, Mood::Stateless).unwrap()
}
