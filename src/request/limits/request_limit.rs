//! The limits of a shop and of a route.

use super::limited_by::LimitedBy;
use crate::clients::Rate;

/// How often the requests of a route are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// So often.
    pub rate: Rate,
    /// Each of these by itself.
    pub by: LimitedBy,
}

/// How often Doorward answers for a shop by itself; `None`: without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShopLimits {
    /// Logouts of one token by one client.
    pub logouts: Option<Rate>,
    /// Refusals of tokens of one client that can't be verified.
    pub failed_verifications: Option<Rate>,
    /// Answers to one client under `prefix`, logouts aside.
    pub own_paths: Option<Rate>,
}
