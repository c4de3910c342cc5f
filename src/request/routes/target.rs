//! Where a route leads.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};

use super::template::{Template, TemplateFacts};
use crate::request::answers::Answer;

/// The name of an upstream: letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

/// Where a route leads.
#[derive(Debug, Default)]
pub enum RouteTarget {
    /// To the upstream of the shop.
    #[default]
    Shop,
    /// To this upstream.
    Upstream(UpstreamName),
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
    pub to: Template,
}

impl Redirect {
    /// The redirect of one request. A path that another site could be read from stays one of this host.
    pub fn answer(&self, facts: &TemplateFacts<'_>) -> Answer {
        let mut to = self.to.address(facts);
        if self.to.begins_with_path() {
            let path = to.trim_start_matches(['/', '\\']);
            to = format!("/{path}");
        }
        let mut headers = HeaderMap::new();
        if let Ok(to) = HeaderValue::try_from(to) {
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

impl UpstreamName {
    /// The longest name: it is a label of metrics.
    const BYTES_MAX: usize = 64;

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(is_fit);
        fits.then(|| Self(text.into()))
            .ok_or("the name of an upstream: up to 64 letters, digits, `-`, `_` and `.`")
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
