//! What is answered by the listener or the host of a request, before it is judged.

use std::sync::Arc;

use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::context::Context;
use super::service::Proxy;
use crate::request::{Answer, OriginParts, Refusal, Request, host_of, moved_to, port_of};
use crate::server::connection::listener::HttpsRedirect;
use crate::server::connection::state::ConnectionState;
use crate::server::snapshot::Snapshot;

impl Proxy {
    /// The redirect of a request by the rules of its listener or its host, or why there is none; `None`: it is to be judged.
    ///
    /// Whatever Doorward answers on every listener comes first, then the redirects: to `https://`, then to another host.
    pub(crate) fn redirect_at_listener(
        &self,
        session: &Session,
        context: &mut Context,
    ) -> Result<Result<Option<Answer>, Refusal>> {
        let snapshot = Arc::clone(&context.snapshot);
        if !has_due_certificate(session, &snapshot) {
            // The handshake was before a reload: another one says what is wrong.
            return Err(Error::new_down(ErrorType::ConnectionClosed));
        }
        Ok(match redirect_at(session, &snapshot) {
            Some(redirect) => self.to_https(session, &snapshot, redirect).map(Some),
            None => to_main_host(session, context, &snapshot),
        })
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
