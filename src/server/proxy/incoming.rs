//! A request as it is judged: with its client, and with what a trusted proxy or the TLS handshake said of it.

use http::StatusCode;
use pingora_proxy::Session;

use crate::request::{ClientCertificate, Request};
use crate::server::connection::state::ConnectionState;
use crate::server::snapshot::Snapshot;

/// The request of a session, with its body if that was read. Whatever chooses a route needs all of it.
pub(crate) fn request_of<'a>(
    session: &'a Session,
    snapshot: &Snapshot,
    body: Option<&'a [u8]>,
) -> Request<'a> {
    Request::new(session.req_header(), body)
        .forwarded_as(snapshot.forwarding.host_told(session))
        .of_client(snapshot.forwarding.client_peer_of(session))
        .showing(certificate_of(session, snapshot))
}

/// What the certificate of the client says, if it has shown one that counts.
pub(crate) fn certificate_of<'a>(
    session: &'a Session,
    snapshot: &Snapshot,
) -> Option<&'a ClientCertificate> {
    let state = ConnectionState::of_session(session.digest())?;
    let rules = snapshot.rules_of(state.listener());
    state.certificate_under(rules).ok().flatten()
}

/// Whether its answer has begun. `100 Continue` and the like are none.
pub(crate) fn has_answered(session: &Session) -> bool {
    let begun = session.response_written();
    begun.is_some_and(|head| {
        !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
    })
}
