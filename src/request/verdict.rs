//! The verdict: what becomes of a request that is not refused.

use std::sync::Arc;

use super::cookie::DeadCookie;
use super::introspection::PendingToken;
use super::logout::LogOut;
use super::shop::{Shop, Tokens};

/// What becomes of a request that is not refused.
pub enum Verdict<'g> {
    /// It goes to the shop, for as long as none of its tokens is revoked.
    Forward {
        /// Which one.
        shop: &'g Arc<Shop>,
        /// The tokens that it stands on, and those that it carries besides.
        tokens: Tokens,
        /// Whether its route demands a credential: the shop answers it with success only to a token that it knows.
        is_demanded: bool,
        /// The cookies that are taken out of it.
        dead_cookies: Vec<DeadCookie>,
    },
    /// These are revoked first; then it is answered, or goes to the shop.
    LogOut(Box<LogOut>),
    /// A browser asked whether a page may call Doorward's own logout.
    Preflight,
    /// The shop is to be asked about these first; then it is judged again.
    Introspect(&'g Arc<Shop>, Vec<PendingToken>),
    /// A page asked for the script for Ecwid.
    Script,
}

impl<'g> Verdict<'g> {
    /// To the shop without a look at the credentials: its route says so.
    pub(super) fn forward_unjudged(shop: &'g Arc<Shop>) -> Self {
        Self::Forward {
            shop,
            tokens: Tokens::new(),
            is_demanded: false,
            dead_cookies: Vec::new(),
        }
    }
}
