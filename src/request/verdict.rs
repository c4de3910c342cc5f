//! The verdict: what becomes of a request that is not refused.

use std::sync::Arc;

use super::answers::Refusal;
use super::cookie::DeadCookie;
use super::introspection::PendingToken;
use super::logout::LogOut;
use super::shop::{Shop, Tokens};
use super::token::Subject;

/// What becomes of a request that is not refused.
pub enum Verdict<'g> {
    /// The request is forwarded to the shop, and ended if one of its tokens is revoked meanwhile.
    Forward {
        /// The shop.
        shop: &'g Arc<Shop>,
        /// All its tokens: those that count as credentials first.
        tokens: Tokens,
        /// Whether its route requires a credential: then a successful answer proves that the shop knows the token.
        is_demanded: bool,
        /// The cookies to remove from it.
        dead_cookies: Vec<DeadCookie>,
        /// The customer in its tokens, if its route asks for that.
        subject: Option<Subject>,
        /// What would have become of it, if it is only observed. Then no revocation ends it.
        observed: Option<Observed>,
    },
    /// The request is a logout: tokens are revoked, then it is answered here or forwarded.
    LogOut(Box<LogOut>),
    /// A CORS preflight of Doorward's own logout.
    Preflight,
    /// The shop must be asked about these tokens first; then the request is judged again.
    Introspect(&'g Arc<Shop>, Vec<PendingToken>),
    /// A request for the Ecwid script.
    Script,
}

/// What would have become of a request that is only observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The same.
    Forwarded,
    /// It would have been forwarded without this many dead cookies.
    WithoutCookies(usize),
    /// It would have been refused.
    Refused(Refusal),
}

impl<'g> Verdict<'g> {
    /// Forwards a request whose route says that credentials are not judged.
    pub(super) fn forward_unjudged(shop: &'g Arc<Shop>) -> Self {
        Self::Forward {
            shop,
            tokens: Tokens::new(),
            is_demanded: false,
            dead_cookies: Vec::new(),
            subject: None,
            observed: None,
        }
    }
}
