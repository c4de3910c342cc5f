//! The wait of a request for a server that has room for it, for as long as its client is there and its token lives.

use std::sync::Arc;

use http::request::Parts;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::attempts::UpstreamAttempts;
use crate::server::connection::revocation_watch::RevocationWatch;
use crate::server::upstream::{ClientEnds, UpstreamServer};

/// The error of a request whose token was revoked before it was sent.
pub(crate) const REVOKED: ErrorType = ErrorType::Custom("Revoked");

/// Chooses a server for a request. A client that leaves, or logs out, gives up its place in the queue.
pub(crate) async fn choose_server(
    session: &mut Session,
    attempts: &mut UpstreamAttempts,
    from: ClientEnds,
) -> Result<Arc<UpstreamServer>> {
    RevocationWatch::begin_waiting();
    if let Some(server) = attempts.choose_server_at_once(session.req_header(), from)? {
        return Ok(server);
    }
    let head = Parts::clone(session.req_header());
    tokio::select! {
        chosen = attempts.choose_server(&head, from) => chosen,
        left = client_leaves(session) => Err(left),
        () = RevocationWatch::found() => Err(Error::new(REVOKED)),
    }
}

/// Until the client has closed its connection, or reset its stream. While the body of HTTP/1.1 is unread that can't be seen
/// without reading it.
async fn client_leaves(session: &mut Session) -> Box<Error> {
    if !session.is_http2() && !session.is_body_done() {
        return std::future::pending().await;
    }
    match session.as_downstream_mut().read_body_or_idle(true).await {
        Ok(_) => Error::new_down(ErrorType::ConnectionClosed),
        Err(error) => error.into_down(),
    }
}
