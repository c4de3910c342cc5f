//! The cookies that a logout deletes.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};

use super::set_cookie::{CookieAttributes, SetCookie};
use crate::clock::UnixTime;
use crate::request::calls::Request;
use crate::request::credential::{NamePattern, cookies};

/// A cookie to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDeletion {
    /// Its name. `{hash}` stands for what [`CookieDeletion::hash_from`] finds, a name with `*` for every cookie of the request
    /// that fits.
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
    /// The names to delete at this request.
    pub(in crate::request) fn names(&self, request: &Request<'_>) -> Vec<String> {
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

    /// The hashes in the names of the request's cookies, each once.
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

    /// The lines that delete the cookie of this name.
    pub(in crate::request) fn lines_for(&self, name: &str) -> Vec<String> {
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

/// The lines that delete cookies which an answer of the shop does not set anew.
pub fn deletions_beside(
    headers: &HeaderMap,
    deletions: &[HeaderValue],
    now: UnixTime,
) -> Vec<HeaderValue> {
    let read = |line: &HeaderValue| {
        let line = line.to_str().ok().and_then(SetCookie::parse)?;
        Some((line.name.to_owned(), line.sets(now)))
    };
    let lines = headers.get_all(SET_COOKIE).iter().filter_map(read);
    let set: Vec<String> = lines
        .filter_map(|(name, sets)| sets.then_some(name))
        .collect();
    let is_left = |line: &&HeaderValue| read(line).is_some_and(|(name, _)| !set.contains(&name));
    deletions.iter().filter(is_left).cloned().collect()
}

/// The names of the request's cookies that fit, each once.
pub(in crate::request) fn sent(request: &Request<'_>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in cookies(request).map(|cookie| cookie.name()) {
        if fits(&name) && is_plain(&name) && !names.iter().any(|known| *known == name) {
            names.push(name.into_owned());
        }
    }
    names
}

/// Whether a cookie holds a part of one that was too long: `name.0` (Auth.js, Supabase), `name_2`, `name-1`, `nameC1`
/// (ASP.NET).
pub(in crate::request) fn is_chunk(name: &str, whole: &str) -> bool {
    let number = name
        .strip_prefix(whole)
        .and_then(|rest| rest.strip_prefix(['.', '_', '-', 'C']));
    let is_number = |text: &str| {
        (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    number.is_some_and(is_number)
}

/// Whether a name is that of a cookie (RFC 6265 section 4.1.1, RFC 9110 section 5.6.2), so that it is safe in a header of the
/// answer.
pub(in crate::request) fn is_plain(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&name.len()) && name.bytes().all(is_fit)
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
