//! The upstream that holds a client of a split, and the cookie that it is held by.

use http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use super::holding_upstream::HoldingUpstream;
use super::own_cookie;
use crate::clients::ClientNetwork;
use crate::request::{Answer, RouteTarget, Split, SplitBy, sent_values};
use crate::server::proxy::context::Context;
use crate::server::proxy::request_id::RequestIds;

/// For how long a client is held by a cookie: thirty days.
const COOKIE_AGE_S: u32 = 30 * 24 * 60 * 60;

/// Chooses the upstream of a request whose route splits. `None`: it does not.
pub(crate) fn choose(
    session: &Session,
    context: &Context,
    ids: &RequestIds,
) -> Option<HoldingUpstream> {
    let split = split_of(context)?;
    let forwarding = &context.snapshot.forwarding;
    let (client, set_cookie) = match &split.by {
        SplitBy::Client => {
            let network = ClientNetwork::containing(forwarding.client_of(session));
            (network.address().to_string().into_bytes(), None)
        }
        SplitBy::Cookie(name) => {
            let mut known = sent_values(&session.req_header().headers, name);
            let new = || {
                let (id, is_encrypted) = (ids.next(), forwarding.is_encrypted(session));
                let cookie = own_cookie::line(name, &id, Some(COOKIE_AGE_S), is_encrypted);
                (id.into_bytes(), cookie)
            };
            let known = known.find(|value| !value.is_empty());
            known.map_or_else(new, |value| (value.to_vec(), None))
        }
    };
    Some(HoldingUpstream {
        upstream: split.upstream_at(Split::place_of(&client)).clone(),
        set_cookie,
    })
}

/// Adds the cookie to the answer to a logout, if the client has none yet.
pub(crate) fn hold_by_answer(context: &Context, answer: &mut Answer) {
    if let Some(line) = cookie_to_set(context) {
        answer.headers.append(SET_COOKIE, line.clone());
        let private = HeaderValue::from_static("private");
        answer.headers.append(CACHE_CONTROL, private);
    }
}

fn cookie_to_set(context: &Context) -> Option<&HeaderValue> {
    context.holding.as_ref()?.set_cookie.as_ref()
}

/// Adds the cookie to an answer of a server, if the client has none yet.
pub(crate) fn set_cookie(context: &Context, response: &mut ResponseHeader) -> Result<()> {
    cookie_to_set(context).map_or(Ok(()), |line| own_cookie::set(line, response))
}

fn split_of(context: &Context) -> Option<&Split> {
    match &context.route()?.target {
        RouteTarget::Split(split) => Some(split),
        RouteTarget::Shop
        | RouteTarget::Upstream(_)
        | RouteTarget::Redirect(_)
        | RouteTarget::Respond(_) => None,
    }
}
