//! The script that makes a sign-out at Ecwid end the customer's session at the site, too.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

use crate::request::Answer;

const SCRIPT: &[u8] = include_bytes!("ecwid.js");

/// Named by its content, so that every version and every node calls the same bytes the same.
static TAG: LazyLock<String> = LazyLock::new(|| format!("\"{}\"", blake3::hash(SCRIPT).to_hex()));

/// Short, so that a new script reaches browsers soon; a revalidation costs an empty answer.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300, must-revalidate");

/// The answer with the script. It is the same for every customer and holds no secret, so the request is not judged.
pub(crate) fn script(asked: &HeaderMap) -> Answer {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CACHE_CONTROL, KEPT);
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(ETAG, tag);
    }
    if is_known(asked) {
        return Answer {
            status: StatusCode::NOT_MODIFIED,
            headers,
            body: Bytes::new(),
        };
    }
    let content_type = HeaderValue::from_static("text/javascript; charset=utf-8");
    headers.insert(CONTENT_TYPE, content_type);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    Answer {
        status: StatusCode::OK,
        headers,
        body: Bytes::from_static(SCRIPT),
    }
}

/// Whether the browser has this script already (RFC 9110 section 13.1.2: compared weakly; a list, or `*`).
fn is_known(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(IF_NONE_MATCH).iter();
    let mut tags = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == *TAG)
}
