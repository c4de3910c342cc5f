//! A stream of Redis or Valkey that carries what nodes say to each other where no connection does.

mod connector;
mod direct;
mod entry;
mod position;
mod read_limit;
mod reader;
mod receiver;
mod server;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use session::{attend, open};
pub use state::BusCounts;
pub(super) use state::Post;
