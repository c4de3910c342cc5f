//! An answer that issues tokens, while it passes: its rule, and the body so far.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::request::{Arrived, Shop, TokenEndpoint};
use crate::server::proxy::stream;

/// The longest answer that is read for its tokens.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// An answer that issues tokens, while it passes.
pub(crate) struct TokenResponse {
    pub(super) shop: Arc<Shop>,
    pub(super) rule: Arc<TokenEndpoint>,
    /// The body so far, if it is read.
    pub(super) held: Option<Vec<u8>>,
}

impl TokenResponse {
    /// For the answer to a request, if that is a call that issues tokens.
    pub(crate) fn of_request(request: &Arrived<'_, '_>) -> Option<Self> {
        let rule = request.token_endpoint()?;
        Some(Self {
            shop: Arc::clone(request.shop()),
            rule: Arc::clone(rule),
            held: None,
        })
    }

    /// Asks the shop for an answer without content coding, so that it can be read.
    pub(crate) fn request_identity_encoding(&self, head: &mut RequestHeader) {
        if self.rule.reads_body() {
            head.remove_header(&ACCEPT_ENCODING);
        }
    }

    /// Whether the body of an answer can be read.
    pub(super) fn can_read(response: &ResponseHeader) -> bool {
        let value = |name| response.headers.get(name).and_then(|it| it.to_str().ok());
        let is_plain = value(CONTENT_ENCODING.as_str())
            .is_none_or(|coding| coding.trim().eq_ignore_ascii_case("identity"));
        let length = value(CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
        let is_short = length.is_none_or(|length| length <= ANSWER_BYTES_MAX);
        is_plain && is_short && !stream::is_begun(response)
    }
}
