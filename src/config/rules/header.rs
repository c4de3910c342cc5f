//! The name of a header.

use http::HeaderName;

/// Reads the name of a header.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, &'static str> {
    text.parse()
        .map_err(|_| "the name of a header, such as authorization")
}
