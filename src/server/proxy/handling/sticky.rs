//! The cookie by which a client stays with the server that has answered it.

use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use super::own_cookie;
use crate::server::proxy::context::Context;

/// Adds it to an answer of a server, unless the client has it.
pub(crate) fn set_cookie(
    session: &Session,
    context: &mut Context,
    response: &mut ResponseHeader,
) -> Result<()> {
    let is_encrypted = context.snapshot.forwarding.is_encrypted(session);
    let attempts = context.attempts()?;
    let Some((name, value)) = attempts.cookie_to_set(session.req_header()) else {
        return Ok(());
    };
    match own_cookie::line(name, &value, None, is_encrypted) {
        Some(line) => own_cookie::set(&line, response),
        None => Ok(()),
    }
}
