//! The upstream that holds a client of a split, and the cookie that it is held by.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::holding_upstream::HoldingUpstream;
use crate::clients::ClientNetwork;
use crate::request::{Answer, RouteTarget, Split, SplitBy};
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
            let known = value_of(&session.req_header().headers, name);
            let new = || {
                let id = ids.next();
                let cookie = cookie_line(name, &id, forwarding.is_encrypted(session));
                (id.into_bytes(), cookie)
            };
            known.map_or_else(new, |value| (value.to_vec(), None))
        }
    };
    Some(HoldingUpstream {
        upstream: split.upstream_at(Split::place_of(&client)).clone(),
        set_cookie,
    })
}

/// Takes the cookies of the shop's splits out of what a server is sent, whatever route the request takes.
pub(crate) fn take_out_cookies(context: &Context, upstream: &mut RequestHeader) -> Result<()> {
    let names = context
        .shop
        .as_ref()
        .map(|shop| shop.routes.split_cookies());
    let names = names.unwrap_or_default();
    let is_own = |pair: &&[u8]| names.iter().any(|name| value_in(pair, name).is_some());
    if names.is_empty() || !pairs_of(&upstream.headers).any(|pair| is_own(&pair)) {
        return Ok(());
    }
    let lines: Vec<HeaderValue> = upstream.headers.get_all(COOKIE).iter().cloned().collect();
    upstream.remove_header(&COOKIE);
    for line in lines {
        let pairs = line.as_bytes().split(|byte| *byte == b';');
        let others = pairs.filter(|pair| !is_own(pair));
        let others: Vec<_> = others.map(<[u8]>::trim_ascii).collect();
        let line = HeaderValue::from_bytes(&others.join(&b"; "[..]));
        if let (false, Ok(line)) = (others.is_empty(), line) {
            upstream.append_header(COOKIE, line)?;
        }
    }
    Ok(())
}

/// Adds the cookie to the answer to a logout, if the client has none yet.
pub(crate) fn hold_by_answer(context: &Context, answer: &mut Answer) {
    if let Some(line) = cookie_to_set(context) {
        answer.headers.append(SET_COOKIE, line.clone());
    }
}

fn cookie_to_set(context: &Context) -> Option<&HeaderValue> {
    context.holding.as_ref()?.set_cookie.as_ref()
}

/// Adds the cookie to an answer of a server, if the client has none yet.
pub(crate) fn set_cookie(context: &Context, response: &mut ResponseHeader) -> Result<()> {
    if let Some(line) = cookie_to_set(context) {
        response.append_header(SET_COOKIE, line.clone())?;
        // A cache that kept it would hold every client on one side.
        response.append_header(CACHE_CONTROL, "private")?;
    }
    Ok(())
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

/// The value of the first cookie of this name that has one.
fn value_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    pairs_of(headers).find_map(|pair| value_in(pair, name).filter(|value| !value.is_empty()))
}

fn pairs_of(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
}

fn value_in<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let pair = pair.trim_ascii();
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

fn cookie_line(name: &str, value: &str, is_encrypted: bool) -> Option<HeaderValue> {
    let secure = if is_encrypted { "; Secure" } else { "" };
    let line =
        format!("{name}={value}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(line).ok()
}
