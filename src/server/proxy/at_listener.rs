//! What a listener answers by itself, before any request is judged.

use std::sync::Arc;

use pingora::Result;
use pingora_proxy::Session;

use super::context::Context;
use super::service::Proxy;
use crate::request::{Answer, OriginParts, Refusal, Refused, Request, host_of, moved_to};
use crate::server::connection::listener::HttpsRedirect;
use crate::server::connection::state::ConnectionState;
use crate::server::snapshot::Snapshot;

impl Proxy {
    /// Answers a request by the rules of its listener; `None`: it is to be judged.
    ///
    /// Whatever Doorward answers on every listener comes first, then the redirect.
    pub(crate) async fn answer_at_listener(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<Option<bool>> {
        let snapshot = Arc::clone(&context.snapshot);
        let Some(redirect) = redirect_at(session, &snapshot) else {
            return Ok(None);
        };
        match self.redirected(session, &snapshot, redirect) {
            Ok(answer) => {
                self.metrics.note_decision("", "redirected", "https");
                self.answer(session, &answer).await.map(Some)
            }
            Err(refusal) => {
                let refused = Refused::without_shop(refusal);
                self.refuse(session, context, &refused).await.map(Some)
            }
        }
    }

    /// The redirect of a request to `https://`, if it is for a host of a shop.
    fn redirected(
        &self,
        session: &Session,
        snapshot: &Snapshot,
        redirect: HttpsRedirect,
    ) -> Result<Answer, Refusal> {
        let head = session.req_header();
        let told = snapshot.forwarding.host_told(session);
        let request = Request::new(head, None).forwarded_as(told);
        snapshot.gate.serves(&request)?;
        let origin = OriginParts {
            is_encrypted: true,
            host: host_of(&request)?,
            port: redirect.port.or(self.https_port),
        };
        moved_to(origin, &head.uri)
    }
}

fn redirect_at(session: &Session, snapshot: &Snapshot) -> Option<HttpsRedirect> {
    let state = ConnectionState::of_session(session.digest())?;
    snapshot.rules_of(state.listener())?.redirect
}
