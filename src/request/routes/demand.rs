//! What a request must meet: how strictly its credentials are judged, and whether that is only observed.

use std::fmt;

use super::enforce::Enforce;
use crate::request::cookie::DeadCookiePolicy;

/// What a request must meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// How strictly its credentials are judged.
    pub enforce: Enforce,
    /// What happens to a cookie whose token is revoked.
    pub dead_cookie: DeadCookiePolicy,
    /// Whether it is forwarded whatever its credentials are, and only told of.
    pub is_observed: bool,
}

/// What a route demands; what it leaves out, its shop demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteDemand {
    /// [`Demand::enforce`].
    pub enforce: Option<Enforce>,
    /// [`Demand::dead_cookie`].
    pub dead_cookie: Option<DeadCookiePolicy>,
    /// [`Demand::is_observed`].
    pub is_observed: Option<bool>,
}

impl Demand {
    /// The stricter of each part.
    pub(super) fn strictest(self, other: Self) -> Self {
        Self {
            enforce: self.enforce.max(other.enforce),
            dead_cookie: self.dead_cookie.max(other.dead_cookie),
            is_observed: self.is_observed && other.is_observed,
        }
    }
}

impl RouteDemand {
    /// Whether it demands something.
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }

    /// The same, completed by what its shop demands.
    pub fn over(self, shop: Demand) -> Demand {
        Demand {
            enforce: self.enforce.unwrap_or(shop.enforce),
            dead_cookie: self.dead_cookie.unwrap_or(shop.dead_cookie),
            is_observed: self.is_observed.unwrap_or(shop.is_observed),
        }
    }
}

/// As `check` lists it behind a route.
impl fmt::Display for RouteDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(enforce) = self.enforce {
            write!(f, ", enforce {}", enforce.name())?;
        }
        match self.dead_cookie {
            Some(DeadCookiePolicy::Remove) => f.write_str(", dead_cookie remove")?,
            Some(DeadCookiePolicy::Refuse) => f.write_str(", dead_cookie refuse")?,
            None => {}
        }
        match self.is_observed {
            Some(true) => f.write_str(", only observed"),
            Some(false) => f.write_str(", enforced"),
            None => Ok(()),
        }
    }
}
