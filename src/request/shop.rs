//! A shop as the gate knows it: what is said of it in the configuration, ready to be asked.

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN};
use smallvec::SmallVec;

use super::Request;
use super::answer::RefusalSettings;
use super::credential::{Credential, Place};
use super::logout::LogoutRule;
use super::path::{Path, PathStyle};
use super::refusal::Refusal;
use super::route::{Enforce, Route};
use super::skew::ShopClock;
use super::verify::{Token, Verifier};
use crate::clock::UnixTime;
use crate::revocation::{Allowance, ShopTag};

/// Everything by which one shop's requests are judged.
pub struct Shop {
    /// Its name: in logs, metrics and commands.
    pub name: String,
    /// The hosts it claims; none: every host.
    pub hosts: Vec<HostPattern>,
    /// Its name in the journal.
    pub tag: ShopTag,
    /// Where credentials may travel.
    pub places: Vec<Place>,
    /// How its tokens are verified.
    pub verifier: Verifier,
    /// Its logouts, in the order they are tried.
    pub logouts: Vec<LogoutRule>,
    /// Doorward's own logout for it.
    pub own_logout: LogoutRule,
    /// What paths demand, in the order they are tried.
    pub routes: Vec<Route>,
    /// How it compares paths.
    pub path_style: PathStyle,
    /// How it words refusals.
    pub refusals: RefusalSettings,
    /// What unverified credentials may store.
    pub allowance: Allowance,
    /// Its clock.
    pub clock: ShopClock,
}

/// A host, or all hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host below this domain.
    Below(String),
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'g> {
    /// To log out.
    LogOut(&'g LogoutRule),
    /// Whether a page of another origin may log out here.
    Preflight,
    /// Anything else.
    Visit(Enforce),
}

/// The tokens of one request.
pub(super) type Tokens = SmallVec<[Token; 2]>;

impl Shop {
    /// What a request asks for, by its method, path and query.
    pub(super) fn purpose(
        &self,
        request: &Request<'_>,
        path: &Path<'_>,
    ) -> Result<Purpose<'_>, Refusal> {
        self.refuse_ambiguous(request, path)?;
        let style = self.path_style;
        if self.own_logout.is_under(request, path, style) {
            return match request.head.method {
                Method::POST => Ok(Purpose::LogOut(&self.own_logout)),
                Method::OPTIONS if asks_preflight(request) => Ok(Purpose::Preflight),
                _ => Err(Refusal::MethodNotAllowed),
            };
        }
        let mut logouts = self.logouts.iter();
        if let Some(rule) = logouts.find(|rule| rule.claims(request, path, style)) {
            return Ok(Purpose::LogOut(rule));
        }
        let route = self.routes.iter().find(|route| route.claims(path, style));
        Ok(Purpose::Visit(
            route.map_or(Enforce::default(), |route| route.enforce),
        ))
    }

    /// D9: a path that could be under a rule for the shop and not for us is refused.
    fn refuse_ambiguous(&self, request: &Request<'_>, path: &Path<'_>) -> Result<(), Refusal> {
        if !path.is_ambiguous() {
            return Ok(());
        }
        let style = self.path_style;
        let mut logouts = self.logouts.iter().chain([&self.own_logout]);
        let ruled = logouts.any(|rule| rule.is_under(request, path, style))
            || self.routes.iter().any(|route| route.claims(path, style));
        if ruled {
            Err(Refusal::AmbiguousPath)
        } else {
            Ok(())
        }
    }

    /// Verifies every credential; one that is bad is enough to refuse.
    pub(super) fn verify(
        &self,
        credentials: &[Credential<'_>],
        now: UnixTime,
    ) -> Result<Tokens, Refusal> {
        let read = |credential: &Credential<'_>| {
            self.verifier
                .read(credential.place.kind, &credential.text, now)
                .map_err(Refusal::Unverifiable)
        };
        credentials.iter().map(read).collect()
    }

    /// A bearer that stores itself at a logout must look like one of the shop's.
    pub(super) fn refuse_implausible(
        &self,
        token: &Token,
        credential: &Credential<'_>,
    ) -> Result<(), Refusal> {
        if credential.place.carrier.is_ambient() {
            return Ok(());
        }
        let plausible = self.verifier.refuse_implausible(token, &credential.text);
        plausible.map_err(Refusal::Unverifiable)
    }
}

fn asks_preflight(request: &Request<'_>) -> bool {
    let headers = &request.head.headers;
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The host that a request names, without port, in small letters (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
pub(super) fn host_of(request: &Request<'_>) -> Result<String, Refusal> {
    let mut lines = request.head.headers.get_all(HOST).iter();
    let given = match (request.head.uri.authority(), lines.next(), lines.next()) {
        (_, _, Some(_)) | (None, None, None) => return Err(Refusal::BadHost),
        (Some(authority), _, None) => authority.as_str(),
        (None, Some(line), None) => line.to_str().map_err(|_| Refusal::BadHost)?,
    };
    let authority: http::uri::Authority = given.parse().map_err(|_| Refusal::BadHost)?;
    let host = authority.host().trim_end_matches('.');
    if host.is_empty() || given.contains(['@', ',', '/', ' ']) {
        return Err(Refusal::BadHost);
    }
    Ok(host.to_ascii_lowercase())
}

impl HostPattern {
    /// A host name, or `*.` and a domain.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a host name such as shop.example.com or *.example.com, without port";
        let (name, below) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
        let has_port = name.contains(':') && !name.starts_with('[');
        if name.is_empty() || name.bytes().any(odd) || has_port {
            return Err(WANTED);
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        Ok(if below {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }

    /// Whether it means `host`, which is in small letters.
    pub fn claims(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
        }
    }
}
