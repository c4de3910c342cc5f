//! Reads the routes of a shop as they are written.

use super::{changes, conditions, demand, handling, never, target};
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::base::Bases;
use crate::config::rules::{access, condition, rate};
use crate::config::upstream::NamedUpstreams;
use crate::request::{
    Base, Handling, HeaderRules, PathPattern, PathRewrite, PathStyle, Place, Route, RouteTable,
    RouteTarget, UpstreamName,
};

/// What a route can say beside what it demands, and how its requests are sent.
const SAID: [&str; 10] = [
    "allow",
    "deny",
    "limit",
    "upstream",
    "split",
    "redirect",
    "respond",
    "strip_prefix",
    "rewrite",
    "headers",
];

/// Reads every `[[shop.route]]`, of a shop that compares paths like this and claims these.
pub(crate) fn read(
    shop: &mut TomlTable<'_>,
    bases: &Bases,
    (style, claimed): (PathStyle, &[PathPattern]),
    upstreams: &NamedUpstreams,
    places: &[Place],
) -> RouteTable {
    let of_shop = handling::read_of_shop(shop, upstreams);
    let around = RouteSurroundings {
        upstreams,
        places,
        handling: &of_shop,
    };
    let (mut routes, mut said) = (Vec::new(), Vec::new());
    for (at, table) in shop.tables("route").into_iter().enumerate() {
        let base = bases.for_rule(&table);
        let spot = table.spot();
        let (route, warnings) = read_route(table, base, at + 1, &around);
        match route {
            Some(route) => {
                routes.push(route);
                said.push((spot, warnings));
            }
            None => warnings.into_iter().for_each(|fault| shop.report(fault)),
        }
    }
    let table = RouteTable::new(routes, style).with_handling(of_shop.clone());
    for (route, (spot, warnings)) in table.routes().iter().zip(said) {
        match never::fault(&table, route, claimed) {
            Some(fault) => shop.report(fault.at(&spot)),
            None => warnings.into_iter().for_each(|fault| shop.report(fault)),
        }
    }
    table
}

/// What the routes of a shop share.
struct RouteSurroundings<'a> {
    upstreams: &'a NamedUpstreams,
    /// Where requests of the shop carry credentials.
    places: &'a [Place],
    /// What the shop says where a route says nothing.
    handling: &'a Handling,
}

/// The route, and what it does not protect.
fn read_route(
    mut table: TomlTable<'_>,
    base: &Base,
    number: usize,
    around: &RouteSurroundings<'_>,
) -> (Option<Route>, Vec<Fault>) {
    table.renamed("headers", "header");
    let name = table.string_as("name", route_name);
    let mut conditions = conditions::read(&mut table, base);
    let access = access::read(&mut table);
    let limit = rate::read_limit(&mut table);
    let (demand, warnings) = demand::read(&mut table);
    let target = target::read(&mut table, around.upstreams, around.places);
    let handling = handling::read_of_route(&mut table, around.upstreams, around.handling);
    handling::report_unsent(&mut table, target.as_ref());
    let rewrite = changes::read_rewrite(&mut table);
    if let Some(PathRewrite::StripPrefix(prefix)) = &rewrite {
        never::report_unstripped(&table, prefix, &conditions.paths);
    }
    if let (Some(RouteTarget::Respond(_)), Some(rewrite)) = (&target, &rewrite)
        && !matches!(rewrite, PathRewrite::None)
    {
        let fault = Fault::error("`strip_prefix` or `rewrite` beside `respond`");
        table.report_here(fault.label("an answer of Doorward itself sends no path"));
    }
    let (mut request_headers, mut response_headers) = <(HeaderRules, HeaderRules)>::default();
    if let Some(mut headers) = table.table("headers") {
        conditions
            .values
            .extend(condition::read_headers(&mut headers));
        request_headers = changes::read_headers(&mut headers, "request");
        response_headers = changes::read_headers(&mut headers, "response");
        headers.finish();
    }
    let mut said = SAID.iter().chain(&handling::KEYS).chain(&demand::KEYS);
    if said.all(|key| table.lacks(key)) {
        let fault = Fault::error("this route says nothing")
            .label("where does it lead, or what does it demand?");
        table.report_here(fault.help("enforce = \"required\", or upstream = \"api\""));
    }
    table.finish();
    let route = target.zip(rewrite).map(|(target, rewrite)| Route {
        name: name.unwrap_or_else(|| number.to_string()),
        conditions,
        access,
        limit,
        demand,
        target,
        handling,
        rewrite,
        request_headers,
        response_headers,
    });
    (route, warnings)
}

fn route_name(text: &str) -> Result<String, &'static str> {
    let name = UpstreamName::parse(text);
    name.map(|name| name.as_str().to_owned())
        .map_err(|_| "the name of a route: up to 64 letters, digits, `-`, `_` and `.`")
}
