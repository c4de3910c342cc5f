//! The page itself: one document without anything from elsewhere, and the policy that holds it to that.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Response};

/// Where the style and the script stand in the document.
const STYLE: &str = "/*style*/";
const SCRIPT: &str = "/*script*/";

/// The document, and its policy.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let (style, script) = (include_str!("page.css"), include_str!("page.js"));
    let document = include_str!("page.html");
    let document = document.replace(STYLE, style).replace(SCRIPT, script);
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(digest(&SHA256, script.as_bytes())),
        STANDARD.encode(digest(&SHA256, style.as_bytes())),
    );
    (document, policy)
});

/// Answers with the page.
pub(crate) fn dashboard_page() -> Response<Vec<u8>> {
    let (document, policy) = &*PAGE;
    let mut response = Response::new(document.clone().into_bytes());
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_LENGTH, length.into());
    response
}
