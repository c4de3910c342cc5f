//! A stream of Redis or Valkey that carries what nodes say to each other where no connection does.

mod address;

pub use address::Bus;
