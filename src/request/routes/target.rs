//! Where a route leads.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};

use super::redirect_address::RedirectAddress;
use super::split::Split;
use super::template::TemplateFacts;
use super::upstream_name::UpstreamName;
use crate::request::answers::Answer;

/// Where a route leads.
#[derive(Debug, Default)]
pub enum RouteTarget {
    /// To the upstream of the shop.
    #[default]
    Shop,
    /// To this upstream.
    Upstream(UpstreamName),
    /// To one of several upstreams.
    Split(Split),
    /// To another address.
    Redirect(Redirect),
    /// To this answer.
    Respond(Answer),
}

/// A redirect (RFC 9110 section 15.4).
#[derive(Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The `Location`.
    pub to: RedirectAddress,
}

impl Redirect {
    /// The redirect of one request.
    pub fn answer(&self, facts: &TemplateFacts<'_>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Ok(to) = HeaderValue::try_from(self.to.of(facts)) {
            headers.insert(LOCATION, to);
        }
        if self.to.names_subject() {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Answer {
            status: self.status,
            headers,
            body: Bytes::new(),
        }
    }
}
