//! Redirects that lead to themselves, as far as that can be told from the configuration.

use http::header::{HOST, LOCATION};
use http::request::Parts;

use super::route::Route;
use super::target::RouteTarget;
use super::template::TemplateFacts;
use crate::request::calls::{Path, PathPattern, Request, RequestView};
use crate::request::shop::Shop;
use crate::request::site::{HostPattern, WebOrigin};

impl Shop {
    /// Whether a browser that follows the redirect of a route comes back to it. `speaks_tls`: whether `https://` leads here.
    /// A route that asks for more than a path, a method or a parameter is not judged.
    pub fn redirects_in_a_circle(&self, route: &Route, speaks_tls: bool) -> bool {
        let patterns = &route.conditions.paths;
        let patterns = patterns.iter().filter(|path| !path.has_token());
        let paths = patterns.map(|path: &PathPattern| path.to_string().replace('*', "x"));
        let any = route.conditions.paths.is_empty().then(|| "/x".to_owned());
        let mut paths = paths.chain(any);
        paths.any(|path| {
            let next = self.next_after(route, &path, speaks_tls);
            self.takes(route, &path) && next.is_some_and(|next| self.takes(route, &next))
        })
    }

    /// A host of this shop.
    fn example_host(&self) -> String {
        match self.hosts.first() {
            Some(HostPattern::Exact(name)) => name.clone(),
            Some(HostPattern::Below(domain)) => format!("www.{domain}"),
            None => "shop.example.com".to_owned(),
        }
    }

    /// The target to which the redirect of a path leads on the same host.
    fn next_after(&self, route: &Route, path: &str, speaks_tls: bool) -> Option<String> {
        let RouteTarget::Redirect(redirect) = &route.target else {
            return None;
        };
        let host = self.example_host();
        let answer = redirect.answer(&TemplateFacts {
            host: &host,
            path: &route.rewrite.apply(path),
            query: None,
            client: "192.0.2.1",
            request_id: "",
            shop: &self.name,
            subject: None,
            certificate: None,
        });
        let to = answer.headers.get(LOCATION)?.to_str().ok()?;
        if to.starts_with('/') && !to.starts_with("//") {
            return Some(to.to_owned());
        }
        let origin = WebOrigin::from_url(to).filter(|origin| origin.host() == host)?;
        let is_served = origin.is_at(&host) && (speaks_tls || !to.starts_with("https:"));
        let (_, rest) = to.split_once("://").filter(|_| is_served)?;
        Some(rest.find('/').map_or("/", |at| &rest[at..]).to_owned())
    }

    /// Whether a plain request for this target takes a route of this shop.
    fn takes(&self, route: &Route, target: &str) -> bool {
        let target = target.split('#').next().unwrap_or_default();
        let request = http::Request::get(target).header(HOST, self.example_host());
        let Ok((head, ())) = request.body(()).map(http::Request::into_parts) else {
            return false;
        };
        self.takes_head(route, &head)
    }

    fn takes_head(&self, route: &Route, head: &Parts) -> bool {
        let path = Path::parse(head.uri.path());
        if !self.claims_path(path.normal()) {
            return false;
        }
        let view = RequestView::new(Request::new(head, None), path, self.path_style);
        let taken = self.routes.choose(&view).ok().flatten();
        taken.is_some_and(|taken| std::ptr::eq(taken.as_ref(), route))
    }
}
