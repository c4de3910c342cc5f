//! The `Set-Cookie` lines that delete the cookies of a shop, and what is learnt from its own.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use http::request::Parts;

use super::dead_cookies::DeadCookie;
use super::deletion::{is_chunk, is_plain, sent};
use super::set_cookie::{CookieAttributes, SetCookie};
use crate::request::calls::Request;
use crate::request::logout::LogoutRule;
use crate::request::shop::Shop;

impl Shop {
    /// The lines that delete the customer's cookies at a logout by this rule, and those of these names.
    pub(in crate::request) fn deletions_at(
        &self,
        rule: &LogoutRule,
        ended: &[String],
        request: &Request<'_>,
    ) -> Vec<HeaderValue> {
        let of_rule = rule.clear_cookies.iter().flat_map(|deletion| {
            let names = deletion.names(request).into_iter();
            names.flat_map(|name| [deletion.lines_for(&name), self.seen_lines_for(&name)].concat())
        });
        let ended = ended.iter().flat_map(|name| self.lines_for(name, request));
        each_once(of_rule.chain(ended))
    }

    /// The lines that delete these cookies.
    pub fn deletions_of(&self, dead: &[DeadCookie], head: &Parts) -> Vec<HeaderValue> {
        let request = Request::new(head, None);
        let forgotten = dead.iter().filter(|cookie| !cookie.is_kept);
        let names = forgotten.map(|cookie| cookie.name.as_str());
        each_once(names.flat_map(|name| self.lines_for(name, &request)))
    }

    /// The lines that delete the cookie of this name and its parts: with the attributes that the shop used, and as configured for
    /// logouts.
    fn lines_for(&self, name: &str, request: &Request<'_>) -> Vec<String> {
        let parts = sent(request, |part| is_chunk(part, name));
        let names = [vec![name.to_owned()], parts].concat().into_iter();
        let lines = |name: String| {
            let configured = self.own_logout.clear_cookies.iter();
            let meant = configured.filter(|one| one.names(request).contains(&name));
            let configured: Vec<_> = meant.flat_map(|one| one.lines_for(&name)).collect();
            let lines = [configured, self.seen_lines_for(&name)].concat();
            if lines.is_empty() {
                return CookieAttributes::usual().deletions(&name);
            }
            lines
        };
        names
            .filter(|name| is_plain(name))
            .flat_map(lines)
            .collect()
    }

    fn seen_lines_for(&self, name: &str) -> Vec<String> {
        let ways = self.seen_cookies.attributes_of(name).into_iter();
        ways.flat_map(|way| way.deletions(name)).collect()
    }

    /// Learns how the shop sets the cookies that are credentials, from its answer to a request for this path.
    pub fn note_set_cookies(&self, headers: &HeaderMap, path: &str) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().ok().and_then(SetCookie::parse);
            let Some(line) = line.filter(|line| self.is_credential(line.name)) else {
                continue;
            };
            if let Some(attributes) = line.attributes_at(path) {
                self.seen_cookies.note(line.name, attributes);
            }
        }
    }

    /// Whether a cookie of this name is a credential, or a part of one.
    fn is_credential(&self, name: &str) -> bool {
        let mut names = self.places.iter().flat_map(|place| place.carrier.cookies());
        names.any(|names| {
            let whole = names.exact();
            names.matches(name) || whole.is_some_and(|whole| is_chunk(name, whole))
        })
    }
}

fn each_once(lines: impl IntoIterator<Item = String>) -> Vec<HeaderValue> {
    let mut values: Vec<HeaderValue> = Vec::new();
    for line in lines {
        if let Ok(value) = HeaderValue::try_from(line)
            && !values.contains(&value)
        {
            values.push(value);
        }
    }
    values
}
