//! Requests that look like a logout and are none: counted, and logged once an hour for each path.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use crate::clock;
use crate::request::{Request, Shop};

/// How long a path is not logged again.
const SILENCE: Duration = Duration::from_hours(1);

/// How many paths are remembered. Beyond that they are counted only, so that nobody can fill the log.
const PATHS_MAX: usize = 256;

/// The paths that were logged, with the shop of each.
#[derive(Default)]
pub(crate) struct NearMisses(Mutex<HashMap<(String, String), Instant>>);

impl NearMisses {
    /// Whether a path was not logged within the last hour, and is to be logged now.
    fn is_news(&self, shop: &str, path: &str, now: Instant) -> bool {
        let mut logged = self.0.lock();
        logged.retain(|_, at| now.duration_since(*at) < SILENCE);
        let key = (shop.to_owned(), path.to_owned());
        let is_news = logged.len() < PATHS_MAX && !logged.contains_key(&key);
        if is_news {
            logged.insert(key, now);
        }
        is_news
    }

    /// Tells the operator of a request that looks like a logout and matches no rule.
    pub(crate) fn log(&self, id: &str, shop: &Shop, request: &Request<'_>) {
        let path = shop.loggable_path(request.head.uri.path());
        let (shop, path) = (shop.name.as_str(), path.as_ref());
        if self.is_news(shop, path, clock::instant()) {
            let (request, method) = (id, request.head.method.as_str());
            warn!(request, shop, method, path; "looks like a logout, but no rule matches: it revokes nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_news_once_an_hour_and_no_more_than_so_many() {
        let (misses, now) = (NearMisses::default(), clock::instant());
        assert!(misses.is_news("main", "/logout", now));
        assert!(!misses.is_news("main", "/logout", now));
        assert!(misses.is_news("other", "/logout", now));
        for number in 0..1_000 {
            misses.is_news("main", &format!("/logout/{number}"), now);
        }
        assert_eq!(misses.0.lock().len(), PATHS_MAX);
        assert!(misses.is_news("main", "/logout", now + SILENCE));
        assert_eq!(misses.0.lock().len(), 1);
    }
}
