//! How a shop was seen to set its credential cookies: a deletion must use the same attributes.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::set_cookie::CookieAttributes;

/// What was seen of one shop.
#[derive(Debug, Default)]
pub struct SeenCookies(RwLock<HashMap<String, Vec<CookieAttributes>>>);

/// How many names are remembered. Beyond that a new name is not: what is forgotten of another would be missed as much.
const NAMES_MAX: usize = 1024;

/// In how many ways one name may be set: a browser keeps a cookie for each path and domain.
const WAYS_MAX: usize = 4;

impl SeenCookies {
    /// Notes how the shop set a cookie.
    pub(in crate::request) fn note(&self, name: &str, attributes: CookieAttributes) {
        if self.attributes_of(name).contains(&attributes) {
            return; // as nearly always, and without waiting for other readers
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
