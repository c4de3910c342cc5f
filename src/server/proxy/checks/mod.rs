//! Checks before the judgement: requests that two servers could read differently, and those in a loop, are refused.

pub(crate) mod framing;
pub(crate) mod hops;
pub(crate) mod target;
