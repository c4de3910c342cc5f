//! What `check --explain` prints: where requests come in, whose they are, and where they go, each in the order in which it is
//! decided.

use std::fmt::Display;
use std::sync::Arc;

use crate::config::load::Config;
use crate::config::shop::{RuleSources, left_out, unclaimed};
use crate::request::{
    AnswerBy, Call, Condition, ConditionPlace, HostPattern, LogoutRule, PathPattern,
    RouteConditions, Scope, Shop, When,
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
    let listener = |(listen, rules): (&Listen, &ListenerRules)| {
        let what = match (listen.tls, rules.redirect.is_some()) {
            (_, true) => "customers, who are redirected to https",
            (true, false) => "customers, with TLS",
            (false, false) => "customers",
        };
        format!("  {listen}: {what}")
    };
    lines.extend(server.listen.iter().zip(rules).map(listener));
    let operator = server.operator.iter();
    lines
        .extend(operator.map(|at| format!("  {at}: operators, with /livez, /readyz and /metrics")));
    let cluster = server.cluster.iter();
    lines.extend(cluster.map(|cluster| format!("  {}: other nodes", cluster.listen)));
    lines
}

fn of_hosts(shops: &[Shop]) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "hosts and paths, of which the first that fits is taken".to_owned(),
    ];
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

/// What a route asks for beside paths and methods; values may be secret and are not named.
fn conditions(of: &RouteConditions) -> Vec<String> {
    let values = of.values.iter().map(place);
    let from = (!of.from.is_empty()).then(|| format!("from {}", of.from));
    let nots = of.not.iter().map(|not| {
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
    values.chain(from).chain(nots).collect()
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

fn logout(rule: &LogoutRule, call: &str) -> String {
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

fn words(call: &Call) -> String {
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
