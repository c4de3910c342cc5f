//! The name of an upstream.

use std::fmt;
use std::sync::Arc;

/// The name of an upstream: letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

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
