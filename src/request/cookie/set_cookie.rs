//! `Set-Cookie` lines: parsed from a shop's answers, and written to delete cookies.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use crate::clock::UnixTime;

/// The attributes that identify a cookie beside its name, which its deletion must repeat (RFC 6265bis section 5.7).
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

/// What browsers require of a cookie by the prefix of its name, without case (RFC 6265bis section 4.1.3).
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
    /// The attributes to assume for an unknown cookie.
    pub(in crate::request) fn usual() -> Self {
        Self::for_path("/")
    }

    fn for_path(path: &str) -> Self {
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
            // The second line is for a site without TLS, where browsers ignore Secure cookies.
            (false, true, false) => vec![format!("{line}; SameSite=None; Secure"), line],
            (false, false, true) => vec![line + "; Secure"],
            (false, false, false) => vec![line],
        }
    }
}

impl<'l> SetCookie<'l> {
    /// Parses a line as a browser does (RFC 6265 section 5.2). `None`: it sets no cookie with a name.
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

    /// The attributes of the cookie that a browser stores, from an answer to a request for this path. `None`: they can't be
    /// repeated in a deletion.
    pub(in crate::request) fn attributes_at(&self, path: &str) -> Option<CookieAttributes> {
        let mut attributes = CookieAttributes::for_path(default_path(path));
        for (name, value) in self.attributes() {
            if name.eq_ignore_ascii_case("path") {
                let given = Some(value).filter(|value| value.starts_with('/'));
                given
                    .unwrap_or(default_path(path))
                    .clone_into(&mut attributes.path);
            } else if name.eq_ignore_ascii_case("domain") {
                let domain = value.strip_prefix('.').unwrap_or(value);
                attributes.domain = (!domain.is_empty()).then(|| domain.to_owned());
            } else if name.eq_ignore_ascii_case("secure") {
                attributes.secure = true;
            } else if name.eq_ignore_ascii_case("samesite") {
                attributes.cross_site = value.eq_ignore_ascii_case("none");
            } else if name.eq_ignore_ascii_case("partitioned") {
                attributes.partitioned = true;
            }
        }
        let is_plain = |text: &str| {
            text.len() <= ATTRIBUTE_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_fit =
            is_plain(&attributes.path) && attributes.domain.as_deref().is_none_or(is_plain);
        is_fit.then_some(attributes)
    }
}

/// Browsers ignore longer attributes (RFC 6265bis section 5.6).
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

    fn attributes(line: &str, path: &str) -> Option<CookieAttributes> {
        SetCookie::parse(line).unwrap().attributes_at(path)
    }

    #[test]
    fn a_deletion_says_what_the_prefix_of_the_name_demands_field_f5() {
        let spread = CookieAttributes {
            domain: Some("example.com".to_owned()),
            ..CookieAttributes::for_path("/account")
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
        let read = attributes(line, "/login").unwrap();
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
            assert_eq!(
                attributes(line, path).unwrap().path,
                expected,
                "{line} {path}"
            );
        }
        assert!(attributes("a=b; Path=/x y", "/").is_none());
        assert!(attributes("a=b; Domain=\u{e4}.de", "/").is_none());
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
