//! How much nodes exchange, for the operator.

use std::sync::atomic::AtomicU64;

/// How much was exchanged, ever.
#[derive(Debug, Default)]
pub struct ExchangeCounters {
    /// Rows that came from others.
    pub received: AtomicU64,
    /// Rows that were sent.
    pub sent: AtomicU64,
    /// Rows that said more than any node may say, and were cut down.
    pub capped: AtomicU64,
    /// Groups of rows of an origin for which the peer may not send rows; they were ignored.
    pub foreign: AtomicU64,
    /// How often a peer that sent too much was not read for a while.
    pub throttled: AtomicU64,
    /// How often a range of rows was asked for.
    pub ranges: AtomicU64,
    /// How many comparisons found something.
    pub repairs: AtomicU64,
}
