//! The `Set-Cookie` lines by which a browser forgets a cookie.

use std::fmt::Write as _;

use super::Request;
use super::credential::{NamePattern, cookies};

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
}

impl CookieDeletion {
    /// The names to delete, as far as the request tells them.
    pub(super) fn names(&self, request: &Request<'_>) -> Vec<String> {
        if self.name.contains("{hash}") {
            let hashes = self.hashes(request).into_iter();
            return hashes
                .map(|hash| self.name.replace("{hash}", &hash))
                .collect();
        }
        match NamePattern::parse(&self.name) {
            Ok(pattern) if pattern.exact().is_none() => cookies(request)
                .map(|cookie| cookie.name().into_owned())
                .filter(|name| pattern.matches(name) && is_plain(name))
                .collect(),
            Ok(_) | Err(_) => vec![self.name.clone()],
        }
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

    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for path in &self.paths {
            let mut line =
                format!("{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path={path}");
            if let Some(domain) = &self.domain {
                let _ = write!(line, "; Domain={domain}");
            }
            if self.cross_site {
                // And the other line for a site without TLS, whose browser takes nothing that says Secure.
                lines.push(format!("{line}; SameSite=None; Secure"));
            }
            lines.push(line);
        }
        lines
    }
}

/// Safe to be sent back in a header: what a browser calls its cookies may come from anywhere.
fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
