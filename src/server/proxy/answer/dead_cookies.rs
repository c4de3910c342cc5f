//! Dead cookies: removed from the request to the shop, and deleted in the browser by the answer.

use std::time::Duration;

use http::header::{CACHE_CONTROL, COOKIE, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use crate::clock;
use crate::request::{DeadCookie, deletions_beside};
use crate::server::proxy::context::Context;

/// An answer that took longer deletes nothing: the customer may have logged in meanwhile.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Removes dead cookies from a request.
pub(crate) fn take_out(dead: &[DeadCookie], head: &mut RequestHeader) -> Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let lines: Vec<HeaderValue> = head.headers.get_all(COOKIE).iter().cloned().collect();
    head.remove_header(&COOKIE);
    for line in lines {
        let left = DeadCookie::without(dead, line.as_bytes());
        if let Some(Ok(left)) = left.map(|left| HeaderValue::from_bytes(&left)) {
            head.append_header(COOKIE, left)?;
        }
    }
    Ok(())
}

/// Adds `Set-Cookie` lines that delete them to the shop's answer, except for cookies that it sets itself.
pub(crate) fn delete(
    context: &Context,
    session: &Session,
    response: &mut ResponseHeader,
) -> Result<()> {
    let took = clock::instant().duration_since(context.begun);
    let Some(shop) = context.shop.as_ref() else {
        return Ok(());
    };
    if context.dead_cookies.is_empty() || took > ANSWER_TIME_MAX {
        return Ok(());
    }
    let deletions = shop.deletions_of(&context.dead_cookies, session.req_header());
    let deletions = deletions_beside(&response.headers, &deletions, clock::now());
    if deletions.is_empty() {
        return Ok(());
    }
    for deletion in deletions {
        response.append_header("set-cookie", deletion)?;
    }
    // A cache that kept them would delete the cookies of others.
    response.append_header(CACHE_CONTROL, "private")?;
    Ok(())
}
