//! The bus: a stream of Redis or Valkey that carries the frames of nodes that have no connection to each other.

mod client;
mod connector;
mod direct;
mod entry;
mod read_limit;
mod reader;
mod receiver;
mod server;
mod session;
mod settings;
mod writer;

pub(super) use client::BusClient;
pub use client::BusCounts;
pub(super) use session::{attend, open};
pub use settings::{Bus, UnfitBus};
