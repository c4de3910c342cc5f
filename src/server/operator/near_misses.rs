//! Requests that look like a logout and match no rule: logged once an hour for each path.

use std::collections::HashMap;
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

/// The paths that were logged, with the shop of each, and how often the first of them were asked for since the start.
pub(crate) struct NearMisses {
    logged: Mutex<LogLimit<(String, String)>>,
    counts: Mutex<HashMap<(String, String), u64>>,
}

impl Default for NearMisses {
    fn default() -> Self {
        Self {
            logged: Mutex::new(LogLimit::new(SILENCE, PATHS_MAX)),
            counts: Mutex::default(),
        }
    }
}

impl NearMisses {
    /// Logs a request that looks like a logout and matches no rule.
    pub(crate) fn log(&self, id: &str, shop: &Shop, request: &Request<'_>) {
        let path = shop.loggable_path(request.head.uri.path());
        let (shop, path) = (shop.name.as_str(), path.as_ref());
        let thing = (shop.to_owned(), path.to_owned());
        self.count(&thing);
        if self.logged.lock().is_due(thing, clock::uptime_ms()) {
            let (request, method) = (id, request.head.method.as_str());
            warn!(request, shop, method, path; "looks like a logout, but no rule matches: it revokes nothing");
        }
    }

    fn count(&self, thing: &(String, String)) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(thing) {
            *count += 1;
        } else if counts.len() < PATHS_MAX {
            counts.insert(thing.clone(), 1);
        }
    }

    /// The most frequent ones: shop, path, and how often it was asked for.
    pub(crate) fn most_frequent(&self, most: usize) -> Vec<(String, String, u64)> {
        let counts = self.counts.lock();
        let all = counts.iter();
        let all = all.map(|((shop, path), count)| (shop.clone(), path.clone(), *count));
        let mut all: Vec<_> = all.collect();
        drop(counts);
        all.sort_unstable_by(|a, b| b.2.cmp(&a.2).then_with(|| a.cmp(b)));
        all.truncate(most);
        all
    }
}
