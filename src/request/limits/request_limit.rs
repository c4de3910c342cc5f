//! The limits of a shop and of a route.

use std::fmt;

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

/// As `check` lists it behind a route.
impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, by } = self;
        write!(f, "{rate} by {by}")
    }
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

/// What is limited, each behind a comma, as `check --explain` lists it.
impl fmt::Display for ShopLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            logouts,
            failed_verifications,
            own_paths,
        } = self;
        for (key, limit) in [
            ("logouts", logouts),
            ("failed_verifications", failed_verifications),
            ("own_paths", own_paths),
        ] {
            if let Some(rate) = limit {
                write!(f, ", {key} {rate}")?;
            }
        }
        Ok(())
    }
}
