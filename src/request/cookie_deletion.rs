//! The cookies that an answer deletes.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use http::request::Parts;

use super::Request;
use super::credential::{NamePattern, cookies};
use super::dead_cookie::DeadCookie;
use super::logout::LogoutRule;
use super::set_cookie::{CookieAttributes, SetCookie};
use super::shop::Shop;
use crate::clock::UnixTime;

/// A cookie to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDeletion {
    /// Its name. `{hash}` stands for what [`CookieDeletion::hash_from`] finds, `*` for every cookie of the
    /// request that fits.
    pub name: String,
    /// Cookies of the request whose `*` is the hash.
    pub hash_from: Vec<NamePattern>,
    /// The paths it may have been set for; a browser deletes it only under the same one.
    pub paths: Vec<String>,
    /// The domain it was set for, if it was.
    pub domain: Option<String>,
    /// It was set for pages of other sites too (`SameSite=None; Secure`): a browser takes its deletion from
    /// such a page only if it says the same (RFC 6265bis section 5.7).
    pub cross_site: bool,
    /// It was set with `Partitioned`, and so with `SameSite=None; Secure`.
    pub partitioned: bool,
}

impl CookieDeletion {
    /// The names to delete, as far as the request tells them.
    fn names(&self, request: &Request<'_>) -> Vec<String> {
        if self.name.contains("{hash}") {
            let hashes = self.hashes(request).into_iter();
            return hashes
                .map(|hash| self.name.replace("{hash}", &hash))
                .collect();
        }
        let pattern = NamePattern::parse(&self.name).ok();
        if let Some(pattern) = pattern.filter(|pattern| pattern.exact().is_none()) {
            return sent(request, |name| pattern.matches(name));
        }
        let parts = sent(request, |name| is_chunk(name, &self.name));
        [vec![self.name.clone()], parts].concat()
    }

    /// What stands for the hash in the request's cookies, each once.
    fn hashes(&self, request: &Request<'_>) -> Vec<String> {
        let mut hashes: Vec<String> = Vec::new();
        for name in cookies(request).map(|cookie| cookie.name()) {
            let found = self
                .hash_from
                .iter()
                .find_map(|pattern| pattern.starred(&name));
            if let Some(hash) = found.filter(|hash| is_plain(hash))
                && !hashes.iter().any(|known| known == hash)
            {
                hashes.push(hash.to_owned());
            }
        }
        hashes
    }

    fn lines_for(&self, name: &str) -> Vec<String> {
        let at = |path: &String| CookieAttributes {
            path: path.clone(),
            domain: self.domain.clone(),
            secure: false,
            cross_site: self.cross_site,
            partitioned: self.partitioned,
        };
        let paths = self.paths.iter();
        paths.flat_map(|path| at(path).deletions(name)).collect()
    }
}

impl Shop {
    /// The lines that delete the customer's cookies at a logout by this rule, and those of these names.
    pub(super) fn deletions_at(
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

    /// The lines by which a browser forgets dead cookies.
    pub fn deletions_of(&self, dead: &[DeadCookie], head: &Parts) -> Vec<HeaderValue> {
        let request = Request::new(head, None);
        let forgotten = dead.iter().filter(|cookie| !cookie.is_kept);
        let names = forgotten.map(|cookie| cookie.name.as_str());
        each_once(names.flat_map(|name| self.lines_for(name, &request)))
    }

    /// The lines that delete the cookie of this name and its parts: as the shop was seen to set it, and as the
    /// configuration says of any logout.
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
        let ways = self.seen_cookies.of(name).into_iter();
        ways.flat_map(|way| way.deletions(name)).collect()
    }

    /// Learns how the shop sets the cookies that are credentials, from its answer to a request for this path.
    pub fn note_set_cookies(&self, headers: &HeaderMap, path: &str) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().ok().and_then(SetCookie::read);
            let Some(line) = line.filter(|line| self.is_credential(line.name)) else {
                continue;
            };
            if let Some(attributes) = line.told_by(path) {
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

/// The lines that delete cookies which an answer of the shop does not set anew.
pub fn deletions_beside(
    headers: &HeaderMap,
    deletions: &[HeaderValue],
    now: UnixTime,
) -> Vec<HeaderValue> {
    let read = |line: &HeaderValue| {
        let line = line.to_str().ok().and_then(SetCookie::read)?;
        Some((line.name.to_owned(), line.sets(now)))
    };
    let lines = headers.get_all(SET_COOKIE).iter().filter_map(read);
    let set: Vec<String> = lines
        .filter_map(|(name, sets)| sets.then_some(name))
        .collect();
    let is_left = |line: &&HeaderValue| read(line).is_some_and(|(name, _)| !set.contains(&name));
    deletions.iter().filter(is_left).cloned().collect()
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

/// The names of the cookies that came and fit, each once.
fn sent(request: &Request<'_>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in cookies(request).map(|cookie| cookie.name()) {
        if fits(&name) && is_plain(&name) && !names.iter().any(|known| *known == name) {
            names.push(name.into_owned());
        }
    }
    names
}

/// Whether a cookie carries a part of one that was too long: `name.0` (Auth.js, Supabase), `name_2`, `name-1`, and
/// `nameC1` as ASP.NET writes it.
pub(super) fn is_chunk(name: &str, whole: &str) -> bool {
    let number = name
        .strip_prefix(whole)
        .and_then(|rest| rest.strip_prefix(['.', '_', '-', 'C']));
    let is_number = |text: &str| {
        (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    number.is_some_and(is_number)
}

/// Safe to be sent back in a header: what a browser calls its cookies may come from anywhere.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b";,=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_cookie_is_numbered_field_f5() {
        for part in ["sid.0", "sid.12", "sid_2", "sid-1", "sidC1"] {
            assert!(is_chunk(part, "sid"), "{part}");
        }
        for other in [
            "sid", "sid.", "sid.x", "sid2", "sid.123", "sid.sig", "xsid.0", "sid.0.0",
        ] {
            assert!(!is_chunk(other, "sid"), "{other}");
        }
    }
}
