//! Token introspection: asks the shop about tokens that can't be verified here.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, USER_AGENT, VIA};
use log::warn;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::{ErrorType, OkOrErr, Result};
use pingora_proxy::Session;

use super::attempts::UpstreamAttempts;
use super::context::Context;
use super::exchange::BufferedExchange;
use super::service::Proxy;
use crate::clock;
use crate::request::{Answer, IntrospectionRequest, Occasion, PendingToken, RouteTimeouts, Shop};

impl Proxy {
    /// Asks the shop about each token in turn; there is rarely more than one.
    pub(crate) async fn introspect(
        &self,
        session: &Session,
        context: &Context,
        shop: &Arc<Shop>,
        pending: &[PendingToken],
    ) {
        let introspection = &shop.verifier.settings().introspection;
        let (Some(introspection), Some(connector)) = (introspection, &self.connector) else {
            return; // nothing to ask, or nothing is sent
        };
        for token in pending {
            let turn = self.single_flight.lock_for(token.id());
            let _turn = match token.occasion {
                Occasion::Logout => None, // a logout is counted when it is over, so it does not wait
                Occasion::Refresh | Occasion::Visit => Some(turn.lock().await),
            };
            if !shop.is_still_pending(token, clock::now()) {
                continue;
            }
            let answer = self
                .request_introspection(session, context, connector, (shop, introspection, token))
                .await;
            if let Err(error) = &answer {
                let (request, shop) = (context.id.as_str(), shop.name.as_str());
                warn!(request, shop; "token introspection failed: {}", error.etype().as_str());
            }
            shop.note_answer(token, answer.ok().as_ref(), clock::now());
            self.single_flight.finish(&token.id());
        }
    }

    async fn request_introspection(
        &self,
        session: &Session,
        context: &Context,
        connector: &Connector,
        (shop, introspection, token): (&Arc<Shop>, &IntrospectionRequest, &PendingToken),
    ) -> Result<Answer> {
        let attempts = UpstreamAttempts::on_route(shop, None, None, &context.snapshot);
        let attempts = attempts.or_err(ErrorType::InternalError, "a shop without upstream")?;
        let forwarding = &context.snapshot.forwarding;
        let mut head = head_of(session.req_header(), shop, (introspection, token))?;
        forwarding.rewrite(
            session,
            context.facts(session, attempts.upstreams()),
            &mut head,
        )?;
        let exchange = BufferedExchange {
            head,
            body: introspection.body_about(&token.text).into(),
            from: (session.req_header().clone(), forwarding.ends_of(session)),
            attempts,
            timeouts: RouteTimeouts::default(),
        };
        let answer = exchange.send(connector).await?.whole()?;
        let fails = answer.status.is_server_error() || answer.status == 429;
        (!fails)
            .then_some(answer)
            .or_err(ErrorType::HTTPStatus(503), "the shop fails")
    }
}

/// The head of the request: the customer's host, browser and client key, and this one credential.
fn head_of(
    customer: &RequestHeader,
    shop: &Shop,
    (introspection, token): (&IntrospectionRequest, &PendingToken),
) -> Result<RequestHeader> {
    let path = introspection.path.as_str().as_bytes();
    let mut head = RequestHeader::build(introspection.method.clone(), path, Some(16))?;
    let keys = shop
        .logouts
        .iter()
        .filter_map(|rule| rule.client_key.as_ref());
    let keys = keys.map(|key| &key.header);
    let kept: Vec<&HeaderName> = [&HOST, &USER_AGENT, &VIA]
        .into_iter()
        .chain(keys)
        .chain(&token.header)
        .collect();
    for (name, value) in &customer.headers {
        if kept.contains(&name) {
            head.append_header(name.clone(), value.clone())?;
        }
    }
    if let (Some(host), false) = (customer.uri.authority(), head.headers.contains_key(HOST)) {
        head.insert_header(HOST, host.as_str())?; // a request in HTTP/2 says it in its target
    }
    head.insert_header(ACCEPT, "application/json")?;
    if introspection.body.is_some() {
        head.insert_header(CONTENT_TYPE, introspection.content_type.name())?;
    }
    Ok(head)
}
