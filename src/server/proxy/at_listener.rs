//! What is answered by the listener or the host of a request, before it is judged.

use std::sync::Arc;

use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::context::Context;
use super::service::Proxy;
use crate::request::{Answer, OriginParts, Refusal, Refused, Request, host_of, moved_to, port_of};
use crate::server::access_log::record::RecordedVerdict;
use crate::server::connection::listener::HttpsRedirect;
use crate::server::connection::state::ConnectionState;
use crate::server::snapshot::Snapshot;

impl Proxy {
    /// Answers a request by the rules of its listener or its host; `None`: it is to be judged.
    ///
    /// Whatever Doorward answers on every listener comes first, then the redirects: to `https://`, then to another host.
    pub(crate) async fn answer_at_listener(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<Option<bool>> {
        let snapshot = Arc::clone(&context.snapshot);
        if !has_due_certificate(session, &snapshot) {
            // The handshake was before a reload: another one says what is wrong.
            return Err(Error::new_down(ErrorType::ConnectionClosed));
        }
        let redirected = match redirect_at(session, &snapshot) {
            Some(redirect) => self.to_https(session, &snapshot, redirect).map(Some),
            None => to_main_host(session, context, &snapshot),
        };
        match redirected {
            Ok(None) => Ok(None),
            Ok(Some(answer)) => {
                let shop = context.shop.as_ref().map_or("", |shop| shop.name.as_str());
                self.metrics.note_decision(shop, "redirected", "");
                context.note_verdict(RecordedVerdict::Redirected);
                self.answer(session, &answer).await.map(Some)
            }
            Err(refusal) => {
                let refused = Refused::without_shop(refusal);
                self.refuse(session, context, &refused).await.map(Some)
            }
        }
    }

    /// The redirect of a request to `https://`, if it is for a host of a shop.
    fn to_https(
        &self,
        session: &Session,
        snapshot: &Snapshot,
        redirect: HttpsRedirect,
    ) -> Result<Answer, Refusal> {
        let request = Request::new(session.req_header(), None);
        snapshot.gate.serves(&request)?;
        let origin = OriginParts {
            is_encrypted: true,
            host: host_of(&request)?,
            port: redirect.port.or(self.https_port),
        };
        moved_to(origin, &request.head.uri)
    }
}

/// Whether the client has shown the certificate that its listener wants by now.
fn has_due_certificate(session: &Session, snapshot: &Snapshot) -> bool {
    let state = ConnectionState::of_session(session.digest());
    state.is_none_or(|state| {
        let rules = snapshot.rules_of(state.listener());
        state.certificate_under(rules).is_ok()
    })
}

fn redirect_at(session: &Session, snapshot: &Snapshot) -> Option<HttpsRedirect> {
    let state = ConnectionState::of_session(session.digest())?;
    snapshot.rules_of(state.listener())?.redirect
}

/// The redirect of a request to the main host of its shop.
fn to_main_host(
    session: &Session,
    context: &mut Context,
    snapshot: &Snapshot,
) -> Result<Option<Answer>, Refusal> {
    let request = Request::new(session.req_header(), None);
    let Some((shop, host)) = snapshot.gate.host_redirect(&request) else {
        return Ok(None);
    };
    context.shop = Some(Arc::clone(shop));
    let is_encrypted = snapshot.forwarding.is_encrypted(session);
    let origin = OriginParts {
        is_encrypted,
        host,
        port: port_of(&request, is_encrypted),
    };
    moved_to(origin, &request.head.uri).map(Some)
}
