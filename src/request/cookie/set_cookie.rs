//! `Set-Cookie` lines: what the shop's say of a cookie, and those by which a browser forgets it.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use crate::clock::UnixTime;

/// What a browser tells a cookie by, beside its name, and what its deletion must say (RFC 6265bis section 5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::request) struct CookieAttributes {
    /// The path it was set for.
    pub(in crate::request) path: String,
    /// The domain it was set for, if it was.
    pub(in crate::request) domain: Option<String>,
    /// It was set with `Secure`.
    pub(in crate::request) secure: bool,
    /// It was set with `SameSite=None`: a browser takes its deletion from a page of another site only with the same.
    pub(in crate::request) cross_site: bool,
    /// It was set with `Partitioned`: it is another cookie than the one of that name that was not (CHIPS).
    pub(in crate::request) partitioned: bool,
}

/// A `Set-Cookie` line of a shop.
pub(in crate::request) struct SetCookie<'l> {
    /// Its name.
    pub(in crate::request) name: &'l str,
    /// Its value.
    pub(in crate::request) value: &'l str,
    /// What follows.
    rest: &'l str,
}

/// What the beginning of a cookie's name makes a browser demand, in whatever case (RFC 6265bis section 4.1.3).
#[derive(Clone, Copy, Default)]
struct Demands {
    secure: bool,
    /// Path `/` and no domain.
    bound_to_host: bool,
    http_only: bool,
}

impl Demands {
    fn from_name(name: &str) -> Self {
        let begins = |prefix: &str| {
            let begin = name.as_bytes().get(..prefix.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let bound_to_host = begins("__Host-");
        let http_only = begins("__Http-") || begins("__Host-Http-");
        Self {
            secure: bound_to_host || http_only || begins("__Secure-"),
            bound_to_host,
            http_only,
        }
    }
}

impl CookieAttributes {
    /// Of a cookie of which nothing is known.
    pub(in crate::request) fn usual() -> Self {
        Self::at("/")
    }

    fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            domain: None,
            secure: false,
            cross_site: false,
            partitioned: false,
        }
    }

    /// The lines that delete the cookie of this name.
    pub(in crate::request) fn deletions(&self, name: &str) -> Vec<String> {
        let demands = Demands::from_name(name);
        let mut line = format!("{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0");
        let path = if demands.bound_to_host {
            "/"
        } else {
            &self.path
        };
        let _ = write!(line, "; Path={path}");
        if let Some(domain) = self.domain.as_ref().filter(|_| !demands.bound_to_host) {
            let _ = write!(line, "; Domain={domain}");
        }
        if demands.http_only {
            line += "; HttpOnly";
        }
        let is_secure = self.secure || demands.secure || self.partitioned;
        match (self.partitioned, self.cross_site, is_secure) {
            (true, _, _) => vec![line + "; SameSite=None; Secure; Partitioned"],
            (false, true, true) => vec![line + "; SameSite=None; Secure"],
            // And the other line for a site without TLS, whose browser takes nothing that says Secure.
            (false, true, false) => vec![format!("{line}; SameSite=None; Secure"), line],
            (false, false, true) => vec![line + "; Secure"],
            (false, false, false) => vec![line],
        }
    }
}

impl<'l> SetCookie<'l> {
    /// Reads a line as a browser does (RFC 6265 section 5.2). `None`: it sets nothing that has a name.
    pub(in crate::request) fn parse(line: &'l str) -> Option<Self> {
        let (pair, rest) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty()).then_some(Self { name, value, rest })
    }

    /// The attributes, name and value; of two of a name the last one counts.
    fn attributes(&self) -> impl Iterator<Item = (&'l str, &'l str)> {
        let parts = self.rest.split(';');
        parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim(), value.trim())
        })
    }

    /// Whether the browser has the cookie afterwards, with a value.
    pub(in crate::request) fn sets(&self, now: UnixTime) -> bool {
        let (mut age, mut end) = (None, None);
        for (name, value) in self.attributes() {
            if name.eq_ignore_ascii_case("max-age") {
                age = value.parse::<i64>().ok().or(age);
            } else if name.eq_ignore_ascii_case("expires") {
                end = moment(value).or(end);
            }
        }
        let is_over = age.map_or_else(|| end.is_some_and(|end| end <= now), |age| age <= 0);
        !is_over && !self.value.is_empty()
    }

    /// What a browser tells the cookie by that was set with an answer for this path. `None`: it does not take it, or what
    /// it says can't be said again.
    pub(in crate::request) fn attributes_at(&self, path: &str) -> Option<CookieAttributes> {
        let mut told = CookieAttributes::at(default_path(path));
        for (name, value) in self.attributes() {
            if name.eq_ignore_ascii_case("path") {
                let given = Some(value).filter(|value| value.starts_with('/'));
                given
                    .unwrap_or(default_path(path))
                    .clone_into(&mut told.path);
            } else if name.eq_ignore_ascii_case("domain") {
                let domain = value.strip_prefix('.').unwrap_or(value);
                told.domain = (!domain.is_empty()).then(|| domain.to_owned());
            } else if name.eq_ignore_ascii_case("secure") {
                told.secure = true;
            } else if name.eq_ignore_ascii_case("samesite") {
                told.cross_site = value.eq_ignore_ascii_case("none");
            } else if name.eq_ignore_ascii_case("partitioned") {
                told.partitioned = true;
            }
        }
        let is_plain = |text: &str| {
            text.len() <= ATTRIBUTE_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_fit = is_plain(&told.path) && told.domain.as_deref().is_none_or(is_plain);
        is_fit.then_some(told)
    }
}

/// Browsers throw longer attributes away (RFC 6265bis section 5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// The path of a cookie that is set without one (RFC 6265 section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        Some(_) | None => "/",
    }
}

/// The moment that `Expires` names, also with the dashes of older PHP.
fn moment(text: &str) -> Option<UnixTime> {
    let parsed = httpdate::parse_http_date(text)
        .or_else(|_| httpdate::parse_http_date(&text.replace('-', " ")))
        .ok()?;
    let since = parsed.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(UnixTime::from_seconds(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str, path: &str) -> Option<CookieAttributes> {
        SetCookie::parse(line).unwrap().attributes_at(path)
    }

    #[test]
    fn a_deletion_says_what_the_prefix_of_the_name_demands_field_f5() {
        let spread = CookieAttributes {
            domain: Some("example.com".to_owned()),
            ..CookieAttributes::at("/account")
        };
        let begun =
            |name: &str| format!("{name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0");
        for (name, rest) in [
            ("session", "; Path=/account; Domain=example.com"),
            ("__Host-session", "; Path=/; Secure"),
            ("__host-session", "; Path=/; Secure"),
            ("__Host-Http-session", "; Path=/; HttpOnly; Secure"),
            (
                "__Http-session",
                "; Path=/account; Domain=example.com; HttpOnly; Secure",
            ),
            (
                "__Secure-session",
                "; Path=/account; Domain=example.com; Secure",
            ),
            (
                "__SECURE-session",
                "; Path=/account; Domain=example.com; Secure",
            ),
            ("__Hos", "; Path=/account; Domain=example.com"),
        ] {
            assert_eq!(spread.deletions(name), [begun(name) + rest]);
        }
        let far = CookieAttributes {
            cross_site: true,
            ..CookieAttributes::usual()
        };
        assert_eq!(
            far.deletions("a"),
            [
                begun("a") + "; Path=/; SameSite=None; Secure",
                begun("a") + "; Path=/"
            ]
        );
        assert_eq!(
            far.deletions("__Host-a"),
            [begun("__Host-a") + "; Path=/; SameSite=None; Secure"]
        );
        let part = CookieAttributes {
            partitioned: true,
            ..CookieAttributes::usual()
        };
        assert_eq!(
            part.deletions("a"),
            [begun("a") + "; Path=/; SameSite=None; Secure; Partitioned"]
        );
    }

    #[test]
    fn a_cookie_is_told_by_the_attributes_that_it_was_set_with() {
        let line =
            "a=b; path=/x; DOMAIN=.Example.com; Secure ; samesite=none; HttpOnly; Partitioned";
        let read = told(line, "/login").unwrap();
        assert_eq!(
            (&*read.path, read.domain.as_deref()),
            ("/x", Some("Example.com"))
        );
        assert!(read.secure && read.cross_site && read.partitioned);
        for (line, path, expected) in [
            ("a=b", "/", "/"),
            ("a=b", "/login", "/"),
            ("a=b", "/account/login", "/account"),
            ("a=b; Path=", "/account/login", "/account"),
            ("a=b; Path=x", "/account/x/login", "/account/x"),
            ("a=b; Path=/x; Path=/y", "/", "/y"),
        ] {
            assert_eq!(told(line, path).unwrap().path, expected, "{line} {path}");
        }
        assert!(told("a=b; Path=/x y", "/").is_none());
        assert!(told("a=b; Domain=\u{e4}.de", "/").is_none());
    }

    #[test]
    fn a_line_that_deletes_does_not_set() {
        let now = UnixTime::from_seconds(1_700_000_000);
        let sets = |line: &str| SetCookie::parse(line).is_some_and(|line| line.sets(now));
        for line in [
            "a=b",
            "a=b; Max-Age=1",
            "a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "a=b; Expires=Thu, 01 Jan 2099 00:00:00 GMT",
            "a=b; Expires=never",
            "a=b; Max-Age=never",
        ] {
            assert!(sets(line), "{line}");
        }
        for line in [
            "a=",
            "a=; Path=/",
            "a=b; Max-Age=0",
            "a=b; max-age=-1; Expires=Thu, 01 Jan 2099 00:00:00 GMT",
            "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
            "a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
            "a",
            "=b",
        ] {
            assert!(!sets(line), "{line}");
        }
    }
}
