//! Where a route leads: an upstream or several, a redirect, or an answer of its own.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::split;
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::reading::file::File;
use crate::config::upstream::NamedUpstreams;
use crate::request::{Answer, Place, Redirect, RedirectAddress, RouteTarget, changeable_header};

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Reads `upstream`, `split`, `redirect` or `respond`. `None`: it was faulty.
pub(super) fn read(
    table: &mut TomlTable<'_>,
    upstreams: &NamedUpstreams,
    places: &[Place],
) -> Option<RouteTarget> {
    let is_split = !table.lacks("split");
    let split = split::read(table, upstreams, places);
    let upstream = table.string("upstream");
    let redirect = table.table("redirect");
    let respond = table.table("respond");
    let several = [
        upstream.is_some(),
        is_split,
        redirect.is_some(),
        respond.is_some(),
    ];
    if several.into_iter().filter(|one| *one).count() > 1 {
        let fault = Fault::error(
            "a route leads to one place: `upstream`, `split`, `redirect` or `respond`",
        );
        table.report_here(fault);
    }
    if let Some(redirect) = redirect {
        return read_redirect(redirect).map(RouteTarget::Redirect);
    }
    if let Some(respond) = respond {
        return read_respond(respond).map(RouteTarget::Respond);
    }
    if is_split {
        return split.map(RouteTarget::Split);
    }
    match upstream {
        Some(name) => upstreams.read_name(&name).map(RouteTarget::Upstream),
        None => Some(RouteTarget::Shop),
    }
}

fn read_redirect(mut table: TomlTable<'_>) -> Option<Redirect> {
    let status = table.integer("status", 301..=308);
    let to = table.required_string_as(
        "to",
        "an address such as https://{host}{uri}",
        RedirectAddress::parse,
    );
    let fits = status.is_none_or(|status| REDIRECTS.contains(&status));
    if !fits {
        table.report_at("status", Fault::error("expected 301, 302, 303, 307 or 308"));
    }
    table.finish();
    let status = StatusCode::from_u16(status.unwrap_or(302)).ok()?;
    Some(Redirect { status, to: to? }).filter(|_| fits)
}

fn read_respond(mut table: TomlTable<'_>) -> Option<Answer> {
    let status = table.integer("status", 200..=599).unwrap_or(200);
    let body = table
        .string("body")
        .map(|text| Bytes::copy_from_slice(text.as_str().as_bytes()));
    let file = table.string("file");
    if body.is_some() && file.is_some() {
        table.report_at(
            "file",
            Fault::error("`file` beside `body`: an answer has one body"),
        );
    }
    let file = match &file {
        Some(named) => Some(Bytes::copy_from_slice(File::read(named)?.bytes())),
        None => None,
    };
    let headers = read_lines(&mut table);
    table.finish();
    let mut headers = headers?;
    let body = body.or(file).unwrap_or_default();
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
    }
    Some(Answer {
        status: StatusCode::from_u16(status).ok()?,
        headers,
        body,
    })
}

fn read_lines(table: &mut TomlTable<'_>) -> Option<HeaderMap> {
    let mut lines = HeaderMap::new();
    let Some(mut table) = table.table("headers") else {
        return Some(lines);
    };
    let mut is_fit = true;
    for name in table.keys() {
        let value = table.string_as(name, |text| {
            HeaderValue::from_str(text).map_err(|_| "the value of a header")
        });
        match (changeable_header(name), value) {
            (Ok(name), Some(value)) => drop(lines.insert(name, value)),
            (Ok(_), None) => is_fit = false,
            (Err(unfit), _) => {
                table.report_at(name, Fault::error(unfit.to_string()));
                is_fit = false;
            }
        }
    }
    table.finish();
    is_fit.then_some(lines)
}
