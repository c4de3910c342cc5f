//! What the route of a request changes on its way: its path, its headers, and those of its answer.

use http::Uri;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::context::Context;
use super::handling::{compression, own_cookie};
use super::incoming::certificate_of;
use crate::request::{Answer, HeaderRules, Request, Route, RouteTarget, TemplateFacts, host_of};

/// The answer of the route itself, if it leads to no upstream.
pub(crate) fn answer(session: &Session, context: &Context) -> Option<Answer> {
    let route = context.route()?;
    let mut answer = match &route.target {
        RouteTarget::Shop | RouteTarget::Upstream(_) | RouteTarget::Split(_) => return None,
        RouteTarget::Respond(answer) => {
            let mut answer = answer.clone();
            if answer.body.is_empty() {
                context.put_error_page(&mut answer, session.req_header());
            }
            answer
        }
        RouteTarget::Redirect(redirect) => with_facts(session, context, |facts| {
            let path = &*route.rewrite.apply(facts.path);
            redirect.answer(&TemplateFacts { path, ..*facts })
        }),
    };
    change_answer(session, context, &mut answer);
    if let Some(shop) = &context.shop {
        let deletions = shop.deletions_of(&context.dead_cookies, session.req_header());
        if !deletions.is_empty() {
            // A cache that kept them would delete the cookies of others.
            let private = HeaderValue::from_static("private");
            answer.headers.append(CACHE_CONTROL, private);
        }
        for deletion in deletions {
            answer.headers.append(SET_COOKIE, deletion);
        }
    }
    compression::compress_answer(session.req_header(), context, &mut answer);
    Some(answer)
}

/// Changes a request as its route says. It has been judged, and its forwarding headers are written.
pub(crate) fn change_request(
    session: &Session,
    context: &Context,
    upstream: &mut RequestHeader,
) -> Result<()> {
    own_cookie::take_out(context, upstream)?;
    let Some(route) = context.route() else {
        return Ok(());
    };
    rewrite_path(route, upstream)?;
    if route.request_headers.is_empty() {
        return Ok(());
    }
    let lines_sent = upstream.headers.keys();
    let replaced = lines_sent.filter(|name| route.request_headers.replaces(name));
    for name in replaced.cloned().collect::<Vec<_>>() {
        upstream.remove_header(&name);
    }
    for (name, value) in lines(session, context, |route| &route.request_headers) {
        upstream.append_header(name, value)?;
    }
    Ok(())
}

/// Changes the headers of an answer as the route of its request says.
pub(crate) fn change_response(
    session: &Session,
    context: &Context,
    response: &mut ResponseHeader,
) -> Result<()> {
    let Some(route) = context
        .route()
        .filter(|route| !route.response_headers.is_empty())
    else {
        return Ok(());
    };
    for name in route.response_headers.replaced() {
        response.remove_header(name);
    }
    for (name, value) in lines(session, context, |route| &route.response_headers) {
        response.append_header(name, value)?;
    }
    Ok(())
}

/// The same for an answer that was read whole or is Doorward's own.
pub(crate) fn change_answer(session: &Session, context: &Context, answer: &mut Answer) {
    let Some(route) = context.route() else {
        return;
    };
    // The cookies that a logout deletes stay deleted.
    let replaced = route.response_headers.replaced();
    for name in replaced.filter(|name| *name != SET_COOKIE) {
        answer.headers.remove(name);
    }
    for (name, value) in lines(session, context, |route| &route.response_headers) {
        answer.headers.append(name, value);
    }
}

fn rewrite_path(route: &Route, upstream: &mut RequestHeader) -> Result<()> {
    let path = route.rewrite.apply(upstream.uri.path());
    if path == upstream.uri.path() {
        return Ok(());
    }
    let path = path.into_owned();
    let target = match upstream.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let uri: Uri = target
        .parse()
        .map_err(|_| Error::explain(ErrorType::InternalError, "a rewritten path that is none"))?;
    upstream.set_uri(uri);
    Ok(())
}

fn lines(
    session: &Session,
    context: &Context,
    of: impl Fn(&Route) -> &HeaderRules,
) -> Vec<(HeaderName, HeaderValue)> {
    let Some(route) = context.route() else {
        return Vec::new();
    };
    with_facts(session, context, |facts| {
        let lines = of(route).lines(facts);
        lines.map(|(name, value)| (name.clone(), value)).collect()
    })
}

/// Calls this with what stands for the placeholders.
fn with_facts<T>(
    session: &Session,
    context: &Context,
    write: impl FnOnce(&TemplateFacts<'_>) -> T,
) -> T {
    let head = session.req_header();
    let forwarding = &context.snapshot.forwarding;
    let client = forwarding.client_of(session).to_string();
    write(&TemplateFacts {
        // The one that the shop claims, as in every redirect: what a proxy says in `X-Forwarded-Host` chooses no shop.
        host: host_of(&Request::new(head, None)).unwrap_or_default(),
        path: head.uri.path(),
        query: head.uri.query(),
        client: &client,
        request_id: &context.id,
        shop: context.shop.as_ref().map_or("", |shop| shop.name.as_str()),
        subject: context.subject.as_ref(),
        certificate: certificate_of(session, &context.snapshot),
    })
}
