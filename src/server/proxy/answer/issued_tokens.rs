//! Answers that issue tokens: the issue time is recorded before the customer has them.

use bytes::Bytes;
use log::{info, warn};
use pingora::http::ResponseHeader;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::token_response::{ANSWER_BYTES_MAX, TokenResponse};
use crate::clock::{self, UnixTime};
use crate::request::{AnswerTokens, HandedOut, OnReissue, Shop};
use crate::revocation::{DateKind, Id};
use crate::server::proxy::context::Context;
use crate::server::proxy::service::Proxy;

impl Proxy {
    /// The head of an answer: its tokens are dated before the customer has them.
    pub(crate) async fn record_issue_by_head(
        &self,
        response: &ResponseHeader,
        context: &mut Context,
    ) {
        let Some(mut token_response) = context.token_response.take() else {
            return;
        };
        if response.status.is_informational() {
            context.token_response = Some(token_response);
            return;
        }
        if !(response.status.is_success() || response.status.is_redirection()) {
            return; // it issued nothing
        }
        let tokens = token_response
            .rule
            .tokens_of_head(&response.headers, clock::now());
        self.record_issue(&token_response.shop, &tokens, context)
            .await;
        if !token_response.rule.reads_body() || !response.status.is_success() {
            return;
        }
        if TokenResponse::can_read(response) {
            token_response.held = Some(Vec::new());
            context.token_response = Some(token_response);
        } else {
            self.note_unread(&token_response.shop, context);
        }
    }

    /// A part of the body: held back until all of it was read.
    pub(crate) fn record_issue_by_body(
        &self,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Context,
    ) {
        let Some(mut token_response) = context.token_response.take() else {
            return;
        };
        let Some(mut held) = token_response.held.take() else {
            return;
        };
        held.extend_from_slice(body.take().unwrap_or_default().as_ref());
        if held.len() > ANSWER_BYTES_MAX {
            self.note_unread(&token_response.shop, context);
            *body = Some(held.into());
        } else if is_end {
            match token_response.rule.tokens_of_body(&held) {
                // A login in flight must not be answered before its token is on disk, and Pingora does not wait here.
                Some(tokens) => block_in_place(|| {
                    Handle::current().block_on(self.record_issue(
                        &token_response.shop,
                        &tokens,
                        context,
                    ));
                }),
                None if held.is_empty() => {}
                None => self.note_unread(&token_response.shop, context),
            }
            *body = Some(held.into());
        } else {
            token_response.held = Some(held);
            context.token_response = Some(token_response);
        }
    }

    /// The body held back of an answer that ends in trailers.
    pub(crate) fn record_issue_by_trailers(&self, context: &mut Context) -> Option<Bytes> {
        let mut body = None;
        self.record_issue_by_body(&mut body, true, context);
        body
    }

    async fn record_issue(&self, shop: &Shop, tokens: &AnswerTokens, context: &Context) {
        let gate = &context.snapshot.gate;
        let HandedOut {
            dated,
            dead,
            again,
            is_awaited,
        } = gate.handed_out(shop, tokens, clock::now());
        let (set, name) = (gate.revocations(), shop.name.as_str());
        if !dated.is_empty() {
            self.metrics.note_token_response(name, "dated");
        }
        let meaning = shop.meaning();
        let written = set
            .date(DateKind::Issued, &dated, meaning, is_awaited)
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
        self.metrics.note_token_response(shop, "unread");
        info!(request, shop; "an answer that issues tokens can't be read");
    }
}
