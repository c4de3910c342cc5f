//! What the benchmarks measure with: revocations, tokens, a storefront, a stopwatch.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "no benchmark needs every part, and a benchmark exports none"
)]

pub mod crowd;
pub mod mint;
pub mod mode;
pub mod naive;
pub mod stopwatch;
pub mod storefront;
