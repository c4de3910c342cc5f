//! Checks before the judgement: requests that two servers could read differently are refused.

pub(crate) mod framing;
pub(crate) mod target;
