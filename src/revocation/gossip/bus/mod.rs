//! A stream of Redis or Valkey that carries what nodes say to each other where no connection does.

mod address;
mod door;
mod entry;
mod hearing;
mod letters;
mod limited;
mod listening;
mod place;
mod post;
mod reading;
mod server;
#[cfg(test)]
mod tests;
mod writing;

pub use address::Bus;
pub(super) use listening::{BUS_SILENCE_MAX_MS, Listening, OnBus};
pub use post::BusCounts;
pub(super) use post::{Post, attend};
