//! Which requests have a span, and where it goes.

use crate::request::{FetchUrl, Share};

/// `traces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// Where a collector takes OTLP over HTTP in JSON, with its path: usually `/v1/traces`.
    pub to: FetchUrl,
    /// What this service is called in traces.
    pub service: String,
    /// The share of the requests without a trace for which one is begun. For the others the caller has decided.
    pub sample: Share,
}
