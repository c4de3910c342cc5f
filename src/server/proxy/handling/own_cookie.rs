//! The cookies that Doorward sets for itself: browsers keep them, and no server sees them.

use http::header::{CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::request::without_sent;
use crate::server::proxy::context::Context;

/// The line that sets a cookie; without an age it ends with the browser.
pub(super) fn line(
    name: &str,
    value: &str,
    age_s: Option<u32>,
    is_encrypted: bool,
) -> Option<HeaderValue> {
    let age = age_s.map_or_else(String::new, |age_s| format!("; Max-Age={age_s}"));
    let secure = if is_encrypted { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(line).ok()
}

/// Adds such a line to an answer of a server.
pub(super) fn set(line: &HeaderValue, response: &mut ResponseHeader) -> Result<()> {
    response.append_header(SET_COOKIE, line.clone())?;
    // A cache that kept it would hold every client in one place.
    response.append_header(CACHE_CONTROL, "private")?;
    Ok(())
}

/// Takes these cookies out of what a server is sent, whatever route the request takes: those of the shop's splits, and those
/// that name a server.
pub(crate) fn take_out(context: &Context, upstream: &mut RequestHeader) -> Result<()> {
    let of_splits = context.shop.iter();
    let of_splits = of_splits.flat_map(|shop| shop.routes.split_cookies());
    let names = of_splits.chain(&context.snapshot.sticky_cookies);
    let names = names.map(String::as_str);
    if names.clone().next().is_none() || !upstream.headers.contains_key(COOKIE) {
        return Ok(());
    }
    let lines: Vec<HeaderValue> = upstream.headers.get_all(COOKIE).iter().cloned().collect();
    let left = lines
        .iter()
        .map(|line| without_sent(line.as_bytes(), &names));
    let left: Vec<_> = left.collect();
    if left
        .iter()
        .zip(&lines)
        .all(|(left, line)| left.as_deref() == Some(line.as_bytes()))
    {
        return Ok(());
    }
    upstream.remove_header(&COOKIE);
    for line in left.into_iter().flatten() {
        upstream.append_header(COOKIE, line)?;
    }
    Ok(())
}
