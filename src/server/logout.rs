//! A logout: carried out, then answered.

use std::sync::Arc;

use bytes::Bytes;
use log::{info, warn};
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::ask;
use super::body::{self, Body};
use super::context::Context;
use super::forwarding;
use super::proxy::Proxy;
use super::target;
use crate::clock;
use crate::request::{Answer, AnswerBy, LogOut, Refusal, Shop};
use crate::revocation::{Revocation, Revocations};

impl Proxy {
    /// A logout: carried out, then answered.
    pub(super) async fn log_out(
        &self,
        session: &mut Session,
        context: &mut Context,
        logout: &LogOut<'_>,
        body: Option<Bytes>,
    ) -> Result<bool> {
        let shop = logout.shop.name.as_str();
        context.shop = Some(Arc::clone(logout.shop));
        match self.carry_out(session, context, logout, body).await {
            Ok(answer) => {
                self.metrics.note_logout(shop, "revoked");
                self.metrics.note_decision(shop, "logout", "");
                let request = context.id.as_str();
                let token = logout.token().map(|id| self.log_key.name(&id).to_string());
                let revocations = logout.revocations.len();
                info!(request, shop, token = token.as_deref(), revocations; "logout");
                self.answer(session, &answer).await
            }
            Err(refusal) => {
                self.metrics.note_logout(shop, refusal.name());
                self.refuse(session, context, &logout.refuse(refusal)).await
            }
        }
    }

    /// The order is the promise: in force and on disk, then the shop is told, then the customer.
    async fn carry_out(
        &self,
        session: &mut Session,
        context: &mut Context,
        logout: &LogOut<'_>,
        body: Option<Bytes>,
    ) -> Result<Answer, Refusal> {
        let client = context.site.forwarding.client_of(session);
        let (entries, allowance) = (&logout.revocations, logout.shop.allowance);
        let revocations = Arc::clone(context.site.gate.revocations());
        if !revocations.admit(client, entries, allowance, clock::now()) {
            return Err(Refusal::TooManyLogouts);
        }
        if !logout.waits_for_clock() {
            put_in_force(&revocations, entries.clone()).await?;
            return Ok(self.answer_of(session, context, logout, body).await);
        }
        put_in_force(&revocations, logout.tokens()).await?;
        let answer = self.answer_of(session, context, logout, body).await;
        put_in_force(&revocations, logout.cutoffs()).await?;
        Ok(answer)
    }

    /// The shop's answer, or ours: the token is dead, and the customer hears so in any case.
    async fn answer_of(
        &self,
        session: &mut Session,
        context: &mut Context,
        logout: &LogOut<'_>,
        body: Option<Bytes>,
    ) -> Answer {
        let ours = logout.answer(session.req_header());
        let AnswerBy::Shop { with_credentials } = logout.rule.answer else {
            return ours;
        };
        let asked = self.ask_shop(session, context, logout.shop, with_credentials, body);
        asked.await.unwrap_or_else(|error| {
            let (request, shop) = (context.id.as_str(), logout.shop.name.as_str());
            warn!(request, shop; "the shop did not answer its logout: {}", error.etype().as_str());
            ours
        })
    }

    /// Tells the shop of a logout. Another server is tried only while nothing was sent.
    async fn ask_shop(
        &self,
        session: &mut Session,
        context: &mut Context,
        shop: &Shop,
        with_credentials: bool,
        body: Option<Bytes>,
    ) -> Result<Answer> {
        let body = match body {
            Some(body) => body,
            None => match body::read(session, context.site.limits.body_timeout).await? {
                Body::Whole(body) => body,
                Body::Unread => Bytes::new(),
                Body::TooLong => return Err(Error::new(ErrorType::ReadError)),
            },
        };
        let mut head = session.req_header().clone();
        let stale_s = context.site.gate.revocations().standing().stale_s();
        let forwarding = &context.site.forwarding;
        forwarding.rewrite(session, &context.id, stale_s, &mut head)?;
        target::make_origin_form(&mut head);
        if !with_credentials {
            forwarding::remove_credentials(shop, &mut head);
        }
        loop {
            let server = context.send_off(session)?;
            let peer = context.upstreams()?.lone_peer(&server)?;
            context.sent_ms = clock::now_ms();
            let connection = match ask::connect(&self.connector, &peer).await {
                Ok(connection) => connection,
                Err(error) if context.give_up(&error) => continue,
                Err(error) => return Err(error),
            };
            let asked = ask::ask(connection, &peer, head, &body).await;
            if let Err(error) = &asked
                && !matches!(error.etype(), ErrorType::HTTPStatus(_))
            {
                context.fail(error.etype().as_str());
            }
            let (head, answer) = asked?;
            context.learn_clock(&head);
            return Ok(answer);
        }
    }
}

async fn put_in_force(set: &Revocations, revocations: Vec<Revocation>) -> Result<(), Refusal> {
    if revocations.is_empty() {
        return Ok(());
    }
    let written = set.revoke(revocations).await;
    written.map_err(|_| Refusal::NotDurable)
}
