//! Where a request comes from, and what follows for a logout that a page of another site may have sent.
//!
//! A browser adds cookies and stored passwords to the requests of any page. Such a request proves only that the customer's
//! browser sent it, not that the customer wanted it.

use http::header::{HeaderName, ORIGIN, REFERER};
use http::{HeaderMap, Method};

use super::host::{HostPattern, authority_of};
use super::web_origin::WebOrigin;
use crate::request::answers::Refusal;
use crate::request::calls::Request;
use crate::request::credential::{Carrier, Credential};
use crate::request::logout::{AnswerBy, LogoutRule, When};

/// Where a request comes from, by what its browser sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestSite {
    /// A page of the same origin, or the customer's own typing.
    SameOrigin,
    /// Another origin of the same site, or a host that the shop claims by name.
    SameSite,
    /// Another site, or a page that does not say where it is.
    CrossSite,
    /// Not known: a program, or a browser with `no-referrer`.
    Unknown,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The schemes of passwords and tickets that a browser remembers and sends by itself (RFC 7617, 7616, 4559).
const AMBIENT_SCHEMES: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

impl RequestSite {
    /// By Fetch Metadata, which no page can forge; for older browsers by `Origin`, then `Referer`.
    pub(in crate::request) fn from_request(request: &Request<'_>, hosts: &[HostPattern]) -> Self {
        let headers = &request.head.headers;
        if let Some(said) = only_line(headers, &SEC_FETCH_SITE) {
            return match said {
                "same-origin" | "none" => Self::SameOrigin,
                "same-site" => Self::SameSite,
                _ => Self::CrossSite,
            };
        }
        let page = only_line(headers, &ORIGIN).or_else(|| only_line(headers, &REFERER));
        page.map_or(Self::Unknown, |url| Self::from_page(url, request, hosts))
    }

    /// By the page that sent it. The scheme does not count: behind a proxy that ends TLS, the customer's is not known.
    fn from_page(url: &str, request: &Request<'_>, hosts: &[HostPattern]) -> Self {
        let Some(page) = WebOrigin::from_url(url) else {
            return Self::CrossSite; // such as `null`
        };
        let mut own = authority_of(request)
            .into_iter()
            .chain(request.forwarded_host);
        if own.any(|authority| page.is_at(authority)) {
            Self::SameOrigin
        } else if hosts.iter().any(|pattern| pattern.claims(page.host())) {
            Self::SameSite
        } else {
            Self::CrossSite
        }
    }

    /// Whether a page of another site may have sent it. Browsers name the page at every request of another origin but
    /// GET and HEAD; there a page can make them say nothing (`no-referrer`).
    fn may_be_foreign(self, method: &Method) -> bool {
        match self {
            Self::SameOrigin | Self::SameSite => false,
            Self::CrossSite => true,
            Self::Unknown => *method == Method::GET || *method == Method::HEAD,
        }
    }
}

/// The only line of a header; empty if there are several, or if it can't be read.
fn only_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    let is_only = lines.next().is_none();
    Some(first.to_str().ok().filter(|_| is_only).unwrap_or_default())
}

/// Whether a browser may have added a credential by itself.
fn is_ambient(credential: &Credential<'_>, request: &Request<'_>) -> bool {
    let Carrier::Schemed { name, .. } = &credential.place.carrier else {
        return credential.is_ambient();
    };
    let mut lines = request.head.headers.get_all(name).iter();
    lines.any(|line| {
        let line = line.as_bytes().trim_ascii_start();
        let end = line.iter().position(u8::is_ascii_whitespace);
        let scheme = &line[..end.unwrap_or(line.len())];
        AMBIENT_SCHEMES
            .iter()
            .any(|one| scheme.eq_ignore_ascii_case(one.as_bytes()))
    })
}

/// Whether a page of another site may have made a browser send a request, with what browsers add by themselves.
pub(in crate::request) fn may_be_sent_by_another_site(
    request: &Request<'_>,
    credentials: &[Credential<'_>],
    hosts: &[HostPattern],
) -> bool {
    let has_ambient = credentials.iter().any(|one| is_ambient(one, request));
    has_ambient && RequestSite::from_request(request, hosts).may_be_foreign(&request.head.method)
}

impl LogoutRule {
    /// When a logout of this rule takes effect. One that a page of another site may have sent, with credentials that the browser
    /// adds by itself, waits for the shop; it is refused where it is not forwarded.
    pub(in crate::request) fn when_sent_by(
        &self,
        request: &Request<'_>,
        credentials: &[Credential<'_>],
        hosts: &[HostPattern],
    ) -> Result<When, Refusal> {
        let method = &request.head.method;
        if !credentials.iter().any(|one| is_ambient(one, request)) {
            return Ok(self.when_called_by(method));
        }
        let site = RequestSite::from_request(request, hosts);
        if self.same_origin {
            let is_wanted = site == RequestSite::SameOrigin || self.names_origin_of(request);
            return is_wanted.then_some(self.when).ok_or(Refusal::CrossSite);
        }
        match (site.may_be_foreign(method), self.answer) {
            (false, _) => Ok(self.when_called_by(method)),
            (true, AnswerBy::Shop { .. }) => Ok(When::ShopAgreed),
            (true, AnswerBy::Doorward) => Err(Refusal::CrossSite),
        }
    }

    /// By its method: GraphQL over HTTP forbids mutations by GET, so most shops do not execute them, and its answer decides.
    fn when_called_by(&self, method: &Method) -> When {
        if self.call.graphql.is_some() && [Method::GET, Method::HEAD].contains(method) {
            When::ShopAgreed
        } else {
            self.when
        }
    }

    /// Whether a page sends the request whose origin the operator has named.
    fn names_origin_of(&self, request: &Request<'_>) -> bool {
        let origin = only_line(&request.head.headers, &ORIGIN).and_then(WebOrigin::from_url);
        origin.is_some_and(|origin| self.origins.contains(&origin))
    }
}

#[cfg(test)]
mod tests {
    use http::request::Parts;

    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn site(host: &str, headers: &[(&str, &str)]) -> RequestSite {
        let headers = [&[("host", host)], headers].concat();
        let head = head("POST", "/logout", &headers);
        let hosts = [HostPattern::parse("*.example.com").unwrap()];
        RequestSite::from_request(&Request::new(&head, None), &hosts)
    }

    #[test]
    fn fetch_metadata_outranks_all_else() {
        let own = ("origin", "https://shop.example.com");
        for (said, expected) in [
            ("same-origin", RequestSite::SameOrigin),
            ("none", RequestSite::SameOrigin),
            ("same-site", RequestSite::SameSite),
            ("cross-site", RequestSite::CrossSite),
            ("", RequestSite::CrossSite),
            ("Same-Origin", RequestSite::CrossSite),
            ("same-origin, cross-site", RequestSite::CrossSite),
        ] {
            let said = ("sec-fetch-site", said);
            assert_eq!(site("shop.example.com", &[said, own]), expected, "{said:?}");
        }
        let twice = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(site("shop.example.com", &twice), RequestSite::CrossSite);
    }

    #[test]
    fn an_origin_is_ours_by_host_and_port() {
        for (host, page, expected) in [
            ("a.test", "https://a.test", RequestSite::SameOrigin),
            ("a.test", "http://a.test", RequestSite::SameOrigin),
            ("A.Test", "https://a.test", RequestSite::SameOrigin),
            ("a.test.", "https://a.test", RequestSite::SameOrigin),
            ("a.test", "https://a.test.", RequestSite::SameOrigin),
            ("a.test:443", "https://a.test", RequestSite::SameOrigin),
            ("a.test:80", "http://a.test", RequestSite::SameOrigin),
            ("a.test", "https://a.test:443", RequestSite::SameOrigin),
            (
                "a.test:8443",
                "https://a.test:8443",
                RequestSite::SameOrigin,
            ),
            ("[::1]:8080", "http://[::1]:8080", RequestSite::SameOrigin),
            ("[::1]", "http://[::1]", RequestSite::SameOrigin),
            ("127.0.0.1", "http://127.0.0.1", RequestSite::SameOrigin),
            ("a.test", "https://a.test:8443", RequestSite::CrossSite),
            ("a.test:8443", "https://a.test", RequestSite::CrossSite),
            ("a.test:80", "https://a.test", RequestSite::CrossSite),
            ("[::1]", "http://[::2]", RequestSite::CrossSite),
            ("a.test", "https://a.test.evil.test", RequestSite::CrossSite),
            ("a.test", "https://evil.test/a.test", RequestSite::CrossSite),
            ("a.test", "https://a.test@evil.test", RequestSite::CrossSite),
            ("a.test", "https://evil.test#a.test", RequestSite::CrossSite),
            ("a.test", "null", RequestSite::CrossSite),
            ("a.test", "", RequestSite::CrossSite),
            ("a.test", "a.test", RequestSite::CrossSite),
            ("a.test", "android-app://a.test", RequestSite::CrossSite),
            (
                "a.test",
                "https://a.test, https://b.test",
                RequestSite::CrossSite,
            ),
            ("a.test", "https://www.example.com", RequestSite::SameSite),
            ("a.test", "https://example.com", RequestSite::CrossSite),
        ] {
            assert_eq!(site(host, &[("origin", page)]), expected, "{host} {page}");
        }
    }

    #[test]
    fn the_referer_counts_where_no_origin_is() {
        let referer = |url| site("a.test", &[("referer", url)]);
        for own in ["https://a.test", "https://a.test/", "http://a.test/x?y#z"] {
            assert_eq!(referer(own), RequestSite::SameOrigin, "{own}");
        }
        assert_eq!(referer("https://b.test/a.test"), RequestSite::CrossSite);
        let both = [("origin", "null"), ("referer", "https://a.test/")];
        assert_eq!(site("a.test", &both), RequestSite::CrossSite);
        assert_eq!(site("a.test", &[]), RequestSite::Unknown);
    }

    #[test]
    fn http_2_has_its_host_in_the_target_attacks_b9() {
        let headers = [("origin", "https://a.test:8443")];
        let head = head("POST", "https://a.test:8443/logout", &headers);
        let site = RequestSite::from_request(&Request::new(&head, None), &[]);
        assert_eq!(site, RequestSite::SameOrigin);
    }

    #[test]
    fn an_origin_is_written_without_a_path() {
        let same = WebOrigin::parse("HTTPS://WWW.example.com:443").unwrap();
        assert_eq!(WebOrigin::parse("https://www.example.com"), Ok(same));
        for odd in [
            "www.example.com",
            "https://www.example.com/",
            "https://",
            "https://*.example.com",
            "ftp://www.example.com",
            "https://www.example.com:port",
            "https://www.example.com:99999",
            "null",
            "*",
        ] {
            assert!(WebOrigin::parse(odd).is_err(), "{odd}");
        }
    }
}
