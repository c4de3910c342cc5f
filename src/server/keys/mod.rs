//! Keys from the network: where they come from and when they are fetched.

pub(crate) mod jwks;
mod schedule;
