//! With which attributes a shop sets its credential cookies: a deletion must use the same.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::set_cookie::CookieAttributes;

/// The attributes that one shop used, by the names of cookies.
#[derive(Debug, Default)]
pub struct SeenCookies(RwLock<HashMap<String, Vec<CookieAttributes>>>);

/// How many names are remembered. Further names are ignored, because a dropped one would be missed as much.
const NAMES_MAX: usize = 1024;

/// In how many ways one name may be set: a browser keeps a cookie for each path and domain.
const WAYS_MAX: usize = 4;

impl SeenCookies {
    /// Notes how the shop set a cookie.
    pub(in crate::request) fn note(&self, name: &str, attributes: CookieAttributes) {
        if self.attributes_of(name).contains(&attributes) {
            return; // nearly always, and without the write lock
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= NAMES_MAX && !seen.contains_key(name) {
            return;
        }
        let ways = seen.entry(name.to_owned()).or_default();
        ways.retain(|way| *way != attributes);
        ways.push(attributes);
        if ways.len() > WAYS_MAX {
            ways.remove(0);
        }
    }

    /// How a cookie was set, the latest way last.
    pub(in crate::request) fn attributes_of(&self, name: &str) -> Vec<CookieAttributes> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let seen = SeenCookies::default();
        let at = |path: usize| CookieAttributes {
            path: format!("/{path}"),
            ..CookieAttributes::usual()
        };
        for path in 0..10 {
            seen.note("a", at(path));
            seen.note("a", at(6));
        }
        let paths: Vec<_> = seen
            .attributes_of("a")
            .into_iter()
            .map(|way| way.path)
            .collect();
        assert_eq!(paths.len(), WAYS_MAX, "{paths:?}");
        assert!(
            paths.contains(&"/9".to_owned()) && paths.contains(&"/6".to_owned()),
            "{paths:?}"
        );
        for name in 0..2 * NAMES_MAX {
            seen.note(&name.to_string(), at(0));
        }
        assert!(
            seen.attributes_of(&(2 * NAMES_MAX - 1).to_string())
                .is_empty()
        );
        seen.note("a", at(77));
        assert!(
            seen.attributes_of("a").contains(&at(77)),
            "a known name is still learnt of"
        );
    }
}
