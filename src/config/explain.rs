//! What `check --explain` prints: where requests come in, whose they are, and where they go, each in the order in which it is
//! decided.

use std::fmt::Display;
use std::sync::Arc;

use crate::clients::Peer;
use crate::config::load::Config;
use crate::config::shop::{RuleSources, left_out, unclaimed};
use crate::request::{
    AnswerBy, Call, Condition, ConditionPlace, DeadCookiePolicy, HostPattern, HostRedirect,
    LogoutRule, PathPattern, RouteConditions, Scope, Shop, When,
};
use crate::server::{Listen, ListenerRules, Settings, Upstreams};

impl Config {
    /// What becomes of requests, line by line, for the operator. No value of a condition and no secret is in it.
    pub fn explanation(&self) -> Vec<String> {
        let mut lines = of_listeners(&self.server);
        lines.extend(of_hosts(&self.shops));
        for (shop, sources) in self.shops.iter().zip(&self.sources) {
            lines.push(String::new());
            lines.extend(of_shop(shop, sources, &self.server));
        }
        let mut upstreams: Vec<_> = self.server.site.pools.named.iter().collect();
        upstreams.sort_unstable_by_key(|(name, _)| *name);
        if !upstreams.is_empty() {
            lines.push(String::new());
        }
        let upstreams = upstreams.into_iter();
        lines.extend(upstreams.map(|(name, one)| format!("upstream {name}: {}", servers(one))));
        lines
    }
}

fn of_listeners(server: &Settings) -> Vec<String> {
    let mut lines = vec!["listeners".to_owned()];
    let none = ListenerRules::default();
    let rules = server.site.listeners.iter().chain(std::iter::repeat(&none));
    lines.extend(server.listen.iter().zip(rules).map(listener));
    let operator = server.operator.iter();
    lines
        .extend(operator.map(|at| format!("  {at}: operators, with /livez, /readyz and /metrics")));
    let cluster = server.cluster.iter();
    lines.extend(cluster.map(|cluster| format!("  {}: other nodes", cluster.listen)));
    lines.extend(behind_title("clients", &server.site.access));
    lines
}

/// An address for customers, and what is done there.
pub(crate) fn listener((listen, rules): (&Listen, &ListenerRules)) -> String {
    let ListenerRules {
        redirect,
        proxy_protocol,
        client_authorities,
    } = rules;
    let what = match (listen.tls, redirect.is_some()) {
        (_, true) => "customers, who are redirected to https",
        (true, false) => "customers, with TLS",
        (false, false) => "customers",
    };
    let mut line = format!("  {listen}: {what}");
    if let Some(authorities) = client_authorities {
        let must = if authorities.are_required() {
            "required"
        } else {
            "optional"
        };
        line.push_str(", client certificate ");
        line.push_str(must);
    }
    if !proxy_protocol.is_empty() {
        let networks = proxy_protocol.networks.iter().map(ToString::to_string);
        let unix = proxy_protocol.unix.then(|| Peer::Unix.to_string());
        let proxies: Vec<_> = networks.chain(unix).collect();
        line.push_str(", PROXY protocol from ");
        line.push_str(&proxies.join(" and "));
    }
    line
}

/// What has each of its parts behind a comma, behind a title instead; nothing, if it has none.
fn behind_title(title: &str, parts: &impl Display) -> Option<String> {
    let parts = parts.to_string();
    let parts = parts.strip_prefix(", ")?;
    Some(format!("  {title}: {parts}"))
}

fn of_hosts(shops: &[Shop]) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "hosts and paths, of which the first that fits is taken".to_owned(),
    ];
    let redirects = shops.iter().filter_map(|shop| shop.host_redirect.as_ref());
    lines.extend(redirects.flat_map(redirected));
    for shop in shops {
        let paths = listed(&shop.paths);
        let separator = if paths.is_empty() { "" } else { " " };
        let line = |host: String| format!("  {host}{separator}{paths} -> shop {}", shop.name);
        if shop.hosts.is_empty() {
            lines.push(line("every host".to_owned()));
        }
        let hosts = shop.hosts.iter().map(HostPattern::to_string);
        lines.extend(hosts.map(line));
    }
    if has_unclaimed_paths(shops) {
        lines.push("  another path of a host that is claimed by paths alone -> 404".to_owned());
    }
    if shops.iter().all(|shop| !shop.hosts.is_empty()) {
        lines.push("  another host -> 421".to_owned());
    }
    lines
}

/// The hosts of a redirect. One that a shop names as closely as a pattern stays where it is.
fn redirected(redirect: &HostRedirect) -> impl Iterator<Item = String> {
    let HostRedirect { from, to } = redirect;
    from.iter().map(move |host| {
        let unless = match host {
            HostPattern::Exact(_) => "",
            HostPattern::Below(_) => ", unless a shop names the host as closely",
        };
        format!("  {host}{unless} -> redirect 308 to {to}")
    })
}

/// Whether a shop claims paths of a host of which no shop claims every path.
fn has_unclaimed_paths(shops: &[Shop]) -> bool {
    let (by_paths, whole): (Vec<&Shop>, Vec<&Shop>) =
        shops.iter().partition(|shop| !shop.paths.is_empty());
    let has_all = whole.iter().any(|shop| shop.hosts.is_empty());
    let is_whole = |host: &HostPattern| {
        let mut hosts = whole.iter().flat_map(|shop| &shop.hosts);
        hosts.any(|ours| match (ours, host) {
            (_, HostPattern::Exact(name)) => ours.claims(name),
            (HostPattern::Below(_), HostPattern::Below(domain)) => {
                ours == host || ours.claims(domain)
            }
            (HostPattern::Exact(_), HostPattern::Below(_)) => false,
        })
    };
    let is_left = |shop: &&Shop| shop.hosts.is_empty() || !shop.hosts.iter().all(is_whole);
    !has_all && by_paths.iter().any(is_left)
}

fn of_shop(shop: &Shop, sources: &RuleSources, server: &Settings) -> Vec<String> {
    let preset = sources.preset.as_deref();
    let mut lines = vec![
        format!("shop {}", shop.name),
        format!("  preset: {}", preset.unwrap_or("none")),
        format!("  servers: {}", servers_of(shop, server)),
    ];
    lines.extend(unclaimed(shop));
    lines.extend(of_every_request(shop));
    let source = |at: usize, written: usize| match preset {
        Some(preset) if at >= written => format!("preset {preset}"),
        Some(_) | None => "configuration".to_owned(),
    };
    lines.push("  logouts, of which the first that fits is taken".to_owned());
    let own = std::iter::once(format!("    {} [Doorward]", own_logout(shop)));
    let rules = shop.logouts.iter().enumerate().map(|(at, rule)| {
        let (call, source) = (words(&rule.call), source(at, sources.logouts));
        format!("    {} [{source}]", logout(rule, &call))
    });
    lines.extend(own.chain(rules));
    let calls = |title: &str, calls: Vec<&Call>, written: usize| {
        let title = (!calls.is_empty()).then(|| format!("  {title}"));
        let calls = calls.into_iter().enumerate();
        let calls =
            calls.map(|(at, call)| format!("    {} [{}]", words(call), source(at, written)));
        title.into_iter().chain(calls).collect::<Vec<_>>()
    };
    let refreshes = shop.refreshes.iter().map(|rule| &rule.call).collect();
    lines.extend(calls("refreshes", refreshes, sources.refreshes));
    let endpoints = shop.token_endpoints.iter().map(|rule| &rule.call).collect();
    lines.extend(calls("token endpoints", endpoints, sources.token_endpoints));
    if let Some(asked) = &shop.verifier.settings().introspection {
        lines.push(format!(
            "  introspection: {} {}",
            asked.method,
            asked.path.path()
        ));
    }
    lines.extend(of_routes(shop));
    lines
}

/// What holds for every request of a shop, or for those whose route does not say otherwise.
fn of_every_request(shop: &Shop) -> impl Iterator<Item = String> {
    let clients = shop.access.last(); // the others are those of the process
    let clients = clients.and_then(|own| behind_title("clients", own));
    let observed = shop.demand.is_observed;
    let observed = observed.then(|| "  credentials: only observed".to_owned());
    let refused = shop.demand.dead_cookie == DeadCookiePolicy::Refuse;
    let refused = refused.then(|| "  dead cookies: refused".to_owned());
    let limits = behind_title("limits", &shop.limits);
    let others = behind_title("requests without a route", shop.routes.handling(None));
    let all = [clients, observed, refused, limits, others];
    all.into_iter().flatten()
}

fn of_routes(shop: &Shop) -> Vec<String> {
    let mut lines = Vec::new();
    if !shop.routes.routes().is_empty() {
        lines.push("  routes, of which the first that fits is taken".to_owned());
    }
    for route in shop.routes.routes() {
        lines.push(format!("    {route}"));
        let more = conditions(&route.conditions);
        lines.extend((!more.is_empty()).then(|| format!("      if {}", more.join(", "))));
        lines.extend(left_out(shop, route).map(|left| format!("      {left}")));
    }
    if !shop.routes.routes().is_empty() {
        lines.push("    else -> servers of the shop".to_owned());
    }
    lines
}

/// What a route asks for beside paths and methods. Values may be secret and are not named; networks and certificates are not.
fn conditions(of: &RouteConditions) -> Vec<String> {
    let RouteConditions {
        paths: _,
        methods: _,
        values,
        from,
        certificate,
        not,
    } = of;
    let values = values.iter().map(place);
    let from = (!from.is_empty()).then(|| format!("from {from}"));
    let certificate = certificate.as_ref().map(ToString::to_string);
    let nots = not.iter().map(|not| {
        let more = conditions(not);
        let what = if not.paths.is_empty() && not.methods.is_empty() {
            more.join(" and ")
        } else {
            let methods = listed(&not.methods);
            let shown = [methods, listed(&not.paths)].join(" ");
            [vec![shown.trim().to_owned()], more].concat().join(" and ")
        };
        format!("not {what}")
    });
    values.chain(from).chain(certificate).chain(nots).collect()
}

fn place(condition: &Condition) -> String {
    match &condition.at {
        ConditionPlace::Header(name) => format!("header {name}"),
        ConditionPlace::Cookie(name) => format!("cookie {name}"),
        ConditionPlace::Parameter(name) => format!("parameter {name}"),
        ConditionPlace::Body(pointer) => format!("body {pointer}"),
    }
}

/// Doorward's own logout, at those of its paths that the shop claims.
fn own_logout(shop: &Shop) -> String {
    let rule = &shop.own_logout;
    let is_seen = |path: &&PathPattern| {
        let mut claimed = shop.paths.iter();
        shop.paths.is_empty() || claimed.any(|one| path.may_be_in(one))
    };
    let seen: Vec<_> = rule.call.paths.iter().filter(is_seen).collect();
    let methods = listed(&rule.call.methods);
    logout(rule, format!("{methods} {}", listed(&seen)).trim())
}

/// A logout in words, with those of its call.
pub(crate) fn logout(rule: &LogoutRule, call: &str) -> String {
    let what = match rule.revoke {
        Scope::Token => "the token",
        Scope::Session => "the session",
        Scope::Subject => "all tokens of the customer",
        Scope::Others => "the customer's other tokens",
    };
    let answer = match (rule.answer, rule.when) {
        (AnswerBy::Doorward, _) => "answered by Doorward",
        (AnswerBy::Shop { .. }, When::AtOnce) => "then forwarded",
        (AnswerBy::Shop { .. }, When::ShopAgreed) => "once the shop has agreed",
    };
    format!("{call}: revokes {what}, {answer}")
}

/// A call in words, without the values of conditions.
pub(crate) fn words(call: &Call) -> String {
    let line = format!("{} {}", listed(&call.methods), listed(&call.paths));
    let graphql = call.graphql.iter();
    let graphql = graphql.map(|graphql| format!("GraphQL {}", listed(graphql.fields())));
    let more: Vec<_> = call.conditions.iter().map(place).chain(graphql).collect();
    let line = line.trim();
    if more.is_empty() {
        line.to_owned()
    } else {
        format!("{line} with {}", more.join(", "))
    }
}

/// The servers of a shop, or the upstream that they are.
fn servers_of(shop: &Shop, server: &Settings) -> String {
    let pools = &server.site.pools;
    let Some(own) = pools.shops.get(&shop.name) else {
        return String::new();
    };
    let mut named = pools.named.iter();
    match named.find(|(_, one)| Arc::ptr_eq(one, own)) {
        Some((name, _)) => format!("upstream {name}"),
        None => servers(own),
    }
}

fn servers(of: &Upstreams) -> String {
    listed(of.configured())
}

fn listed<T: Display>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
