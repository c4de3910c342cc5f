//! Answers that issue tokens: the issue time is recorded before the customer has them.

use bytes::Bytes;
use log::{info, warn};
use pingora::http::ResponseHeader;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::token_response::{ANSWER_BYTES_MAX, Minting};
use crate::clock::{self, UnixTime};
use crate::request::{AnswerTokens, HandedOut, OnReissue, Shop};
use crate::revocation::{DateKind, Id};
use crate::server::proxy::context::Context;
use crate::server::proxy::service::Proxy;

impl Proxy {
    /// The head of an answer: its tokens are dated before the customer has them.
    pub(crate) async fn mint_by_head(&self, response: &ResponseHeader, context: &mut Context) {
        let Some(mut minting) = context.minting.take() else {
            return;
        };
        if response.status.is_informational() {
            context.minting = Some(minting);
            return;
        }
        if !(response.status.is_success() || response.status.is_redirection()) {
            return; // it issued nothing
        }
        let tokens = minting.rule.tokens_of_head(&response.headers, clock::now());
        self.mint(&minting.shop, &tokens, context).await;
        if !minting.rule.reads_body() || !response.status.is_success() {
            return;
        }
        if Minting::can_read(response) {
            minting.held = Some(Vec::new());
            context.minting = Some(minting);
        } else {
            self.note_unread(&minting.shop, context);
        }
    }

    /// A part of the body: held back until all of it was read.
    pub(crate) fn mint_by_body(
        &self,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Context,
    ) {
        let Some(mut minting) = context.minting.take() else {
            return;
        };
        let Some(mut held) = minting.held.take() else {
            return;
        };
        held.extend_from_slice(body.take().unwrap_or_default().as_ref());
        if held.len() > ANSWER_BYTES_MAX {
            self.note_unread(&minting.shop, context);
            *body = Some(held.into());
        } else if is_end {
            match minting.rule.tokens_of_body(&held) {
                // A login in flight must not be answered before its token is on disk, and Pingora does not wait here.
                Some(tokens) => block_in_place(|| {
                    Handle::current().block_on(self.mint(&minting.shop, &tokens, context));
                }),
                None if held.is_empty() => {}
                None => self.note_unread(&minting.shop, context),
            }
            *body = Some(held.into());
        } else {
            minting.held = Some(held);
            context.minting = Some(minting);
        }
    }

    /// The body held back of an answer that ends in trailers.
    pub(crate) fn mint_by_trailers(&self, context: &mut Context) -> Option<Bytes> {
        let mut body = None;
        self.mint_by_body(&mut body, true, context);
        body
    }

    async fn mint(&self, shop: &Shop, tokens: &AnswerTokens, context: &Context) {
        let gate = &context.snapshot.gate;
        let HandedOut {
            dated,
            dead,
            again,
            is_awaited,
        } = gate.handed_out(shop, tokens, clock::now());
        let (set, name) = (gate.revocations(), shop.name.as_str());
        if !dated.is_empty() {
            self.metrics.note_minted(name, "dated");
        }
        let meaning = shop.meaning();
        let written = set
            .date(DateKind::Minted, &dated, meaning, is_awaited)
            .await;
        let revived = match shop.on_reissue {
            OnReissue::Refuse => {
                self.note_reissued("refused", &dead, name, context);
                Ok(())
            }
            OnReissue::Revive => {
                self.note_reissued("revived", &dead, name, context);
                let alive = [dead, again].concat();
                set.date(DateKind::Revived, &alive, meaning, true).await
            }
        };
        if written.and(revived).is_err() {
            let request = context.id.as_str();
            warn!(request, shop = name; "the issue time of a token is not on disk");
        }
    }

    fn note_reissued(
        &self,
        outcome: &'static str,
        dead: &[(Id, UnixTime)],
        shop: &str,
        context: &Context,
    ) {
        let Some((id, _)) = dead.first() else {
            return;
        };
        let request = context.id.as_str();
        self.metrics.note_reissued(shop, outcome);
        let token = self.log_key.name(id);
        warn!(request, shop, token:%, outcome; "the shop issued a token that is revoked");
    }

    fn note_unread(&self, shop: &Shop, context: &Context) {
        let (request, shop) = (context.id.as_str(), shop.name.as_str());
        self.metrics.note_minted(shop, "unread");
        info!(request, shop; "an answer that issues tokens can't be read");
    }
}
