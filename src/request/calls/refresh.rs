//! Where refresh tokens are exchanged for new tokens.

use super::call::Call;
use crate::request::answers::{Refusal, Words};

/// A call that exchanges a refresh token.
#[derive(Debug)]
pub struct RefreshRule {
    /// The call.
    pub call: Call,
    /// The answer to an invalid or revoked token; `None`: the ordinary refusal. OAuth clients look for `invalid_grant`
    /// (RFC 6749 section 5.2).
    pub invalid: Option<Words>,
}

impl RefreshRule {
    /// The rule's own words for a refusal, if it has some.
    pub(in crate::request) fn words_for(&self, refusal: Refusal) -> Option<&Words> {
        self.invalid.as_ref().filter(|_| refusal.is_about_token())
    }
}
