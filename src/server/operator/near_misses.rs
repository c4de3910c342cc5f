//! Requests that look like a logout and match no rule: logged once an hour for each path.

use std::time::Duration;

use log::warn;
use parking_lot::Mutex;

use crate::clock;
use crate::log_limit::LogLimit;
use crate::request::{Request, Shop};

/// How long a path is not logged again.
const SILENCE: Duration = Duration::from_hours(1);

/// How many paths are logged in that time. Further ones are only counted.
const PATHS_MAX: usize = 256;

/// The paths that were logged, with the shop of each.
pub(crate) struct NearMisses(Mutex<LogLimit<(String, String)>>);

impl Default for NearMisses {
    fn default() -> Self {
        Self(Mutex::new(LogLimit::new(SILENCE, PATHS_MAX)))
    }
}

impl NearMisses {
    /// Logs a request that looks like a logout and matches no rule.
    pub(crate) fn log(&self, id: &str, shop: &Shop, request: &Request<'_>) {
        let path = shop.loggable_path(request.head.uri.path());
        let (shop, path) = (shop.name.as_str(), path.as_ref());
        let thing = (shop.to_owned(), path.to_owned());
        if self.0.lock().is_due(thing, clock::uptime_ms()) {
            let (request, method) = (id, request.head.method.as_str());
            warn!(request, shop, method, path; "looks like a logout, but no rule matches: it revokes nothing");
        }
    }
}
