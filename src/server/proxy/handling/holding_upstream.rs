//! The upstream that holds a client of a split.

use http::HeaderValue;

use crate::request::UpstreamName;

/// The upstream that holds a client.
pub(crate) struct HoldingUpstream {
    /// Its name.
    pub(crate) upstream: UpstreamName,
    /// The cookie by which the client will be known, if it had none.
    pub(crate) set_cookie: Option<HeaderValue>,
}
