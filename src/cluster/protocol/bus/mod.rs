//! The bus as the protocol sees it: which nodes are on it, and whether it delivers.

mod health;
#[cfg(test)]
mod tests;

pub(crate) use health::{BUS_SILENCE_MAX_MS, BusHealth, BusView};
