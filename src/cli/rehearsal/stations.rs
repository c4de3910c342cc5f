//! The way of a request, station by station, each with the line of the configuration that decided.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::claims::{self, LogNames};
use crate::clock;
use crate::config::{RuleSources, SourceLines, call_in_words, logout_in_words};
use crate::request::{
    DeadCookiePolicy, Findings, FoundCredential, FoundPurpose, LogoutOrder, Refusal, Route, Shop,
    Token,
};
use crate::server::{Listen, Rehearsed, RehearsedVerdict};

/// A configuration by its parts that decide about requests.
pub(super) struct Ground<'a> {
    pub(super) listen: &'a [Listen],
    pub(super) shops: &'a [std::sync::Arc<Shop>],
    pub(super) sources: &'a [RuleSources],
    pub(super) lines: &'a SourceLines,
    /// How tokens and customers are named.
    pub(super) names: &'a dyn LogNames,
}

/// A station of a request's way.
#[derive(Debug)]
pub(super) struct Station {
    /// Which one.
    pub(super) name: &'static str,
    /// What was found or decided there.
    pub(super) says: String,
    /// The line of the configuration that decided; `None`: none did.
    pub(super) at: Option<String>,
}

impl Station {
    fn new(name: &'static str, says: impl Into<String>, at: Option<&str>) -> Self {
        Self {
            name,
            says: says.into(),
            at: at.map(str::to_owned),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "station": self.name, "says": self.says, "at": self.at })
    }
}

impl Ground<'_> {
    /// Every station of a request's way.
    pub(super) fn stations(&self, of: &Rehearsed) -> Vec<Station> {
        let mut stations = vec![self.listener(of)];
        if let Some(client) = &of.client {
            stations.push(Station::new("client", client.as_str(), None));
        }
        let way = of
            .shop
            .and_then(|number| Some((self.shops.get(number)?, self.sources.get(number)?)));
        let Some((shop, sources)) = way else {
            stations.push(Station::new("shop", "none", None));
            return stations;
        };
        stations.push(shop_of(shop, &sources.lines));
        let route = of.route.and_then(|number| shop.routes.routes().get(number));
        let route_line = of
            .route
            .and_then(|number| sources.lines.nth("route", number));
        if of.refusal == Some(Refusal::AccessDenied) {
            stations.push(self.denied(sources, route.is_some().then_some(route_line).flatten()));
        }
        stations.push(match route {
            Some(route) => Station::new("route", route.to_string(), route_line),
            None => Station::new("route", "none: the servers of the shop", None),
        });
        if let Some(findings) = &of.findings {
            stations.push(rule(findings, shop, sources));
            stations.extend(demand(
                findings,
                route.map(AsRef::as_ref),
                sources,
                route_line,
            ));
            stations.extend(self.credentials(findings, sources));
        }
        stations
    }

    fn listener(&self, of: &Rehearsed) -> Station {
        let listen = self.listen.get(of.listener);
        let says = listen.map_or_else(|| "none".to_owned(), ToString::to_string);
        let tls = if listen.is_some_and(|listen| listen.tls) {
            ", with TLS"
        } else {
            ""
        };
        let behind = if of.is_behind_proxy {
            "; no listener takes the scheme of the URL: a proxy in front is assumed"
        } else {
            ""
        };
        let at = self.lines.key("listen");
        Station::new("listener", format!("{says}{tls}{behind}"), at)
    }

    fn denied(&self, sources: &RuleSources, route_line: Option<&str>) -> Station {
        let of = |lines: &SourceLines| {
            let key = lines.key("deny").or_else(|| lines.key("allow"));
            key.map(str::to_owned)
        };
        let at = route_line.map(str::to_owned);
        let at = at.or_else(|| of(&sources.lines)).or_else(|| of(self.lines));
        Station::new("access", "the client is not served", at.as_deref())
    }

    fn credentials(&self, findings: &Findings, sources: &RuleSources) -> Vec<Station> {
        let found = match &findings.credentials {
            Ok(found) => found,
            Err(refusal) => {
                let says = format!("can't be read: {}", refusal.name());
                return vec![Station::new("credential", says, None)];
            }
        };
        if found.is_empty() {
            let says = "none in any place of the shop";
            let at = sources.lines.key("credential");
            return vec![Station::new("credential", says, at)];
        }
        found
            .iter()
            .map(|one| self.credential(one, sources))
            .collect()
    }

    fn credential(&self, one: &FoundCredential, sources: &RuleSources) -> Station {
        let own = one.place.filter(|number| *number < sources.credentials);
        let at = own.and_then(|number| sources.lines.nth("credential", number));
        let at = at.or_else(|| sources.lines.key("token"));
        let mut says = format!("{}: {}", one.label, self.token(one));
        if !one.counts {
            says.push_str("; it does not count here, and is only looked up in the revocations");
        }
        if one.is_ignored {
            says.push_str("; its fault is ignored");
        }
        Station::new("credential", says, at)
    }

    fn token(&self, one: &FoundCredential) -> String {
        let token = match &one.token {
            Ok(token) => token,
            Err(refusal) => return format!("refused: {}", claims::reason(*refusal)),
        };
        let name = self.names.of(&token.identity().id);
        let what = match token {
            Token::Verified(token) => {
                let said = claims::verified(token, &one.text, self.names, clock::now());
                format!("token {name}, verified, {said}")
            }
            Token::Confirmed(_) => format!("token {name}, confirmed by the shop"),
            Token::Inactive(_) => format!("token {name}, which the shop no longer knows"),
            Token::Opaque(_) => format!("token {name}, opaque: only its text is known"),
        };
        match one.refusal {
            Some(refusal) => format!("{what}; refused: {}", claims::reason(refusal)),
            None => what,
        }
    }
}

fn shop_of(shop: &Shop, lines: &SourceLines) -> Station {
    let by = match (shop.hosts.is_empty(), shop.paths.is_empty()) {
        (true, true) => "every host",
        (false, true) => "by its host",
        (true, false) => "by its path",
        (false, false) => "by its host and its path",
    };
    let key = if shop.paths.is_empty() {
        "hosts"
    } else {
        "paths"
    };
    let at = lines.key(key).unwrap_or(lines.table());
    Station::new("shop", format!("{}, {by}", shop.name), Some(at))
}

fn rule(findings: &Findings, shop: &Shop, sources: &RuleSources) -> Station {
    let purpose = match findings.purpose {
        Ok(purpose) => purpose,
        Err(refusal) => {
            let says = format!("can't be told: {}", refusal.name());
            return Station::new("rule", says, None);
        }
    };
    match purpose {
        FoundPurpose::OwnLogout => {
            let call = call_in_words(&shop.own_logout.call);
            let says = format!(
                "Doorward's own logout {}",
                logout_in_words(&shop.own_logout, &call)
            );
            Station::new("rule", says, None)
        }
        FoundPurpose::Logout(number) => {
            let rule = shop.logouts.get(number);
            let says = rule.map(|rule| logout_in_words(rule, &call_in_words(&rule.call)));
            let says = format!("logout {}", says.unwrap_or_default());
            Station::new("rule", says, sources.lines.nth("logout", number))
        }
        FoundPurpose::Refresh(number) => {
            let rule = shop.refreshes.get(number);
            let says = rule
                .map(|rule| call_in_words(&rule.call))
                .unwrap_or_default();
            let at = sources.lines.nth("refresh", number);
            Station::new("rule", format!("refresh {says}"), at)
        }
        FoundPurpose::Preflight => Station::new("rule", "preflight of Doorward's own logout", None),
        FoundPurpose::Script => Station::new("rule", "Doorward's own script", None),
        FoundPurpose::Visit => visit(findings, sources),
    }
}

fn visit(findings: &Findings, sources: &RuleSources) -> Station {
    if let Some(number) = findings.token_endpoint {
        let at = sources.lines.nth("token_endpoint", number);
        return Station::new(
            "rule",
            "none that ends tokens; its answer issues tokens",
            at,
        );
    }
    let says = if findings.is_near_miss {
        "none, though it looks like a logout: is a rule missing?"
    } else {
        "none: a visit"
    };
    Station::new("rule", says, None)
}

fn demand(
    findings: &Findings,
    route: Option<&Route>,
    sources: &RuleSources,
    route_line: Option<&str>,
) -> Option<Station> {
    if !matches!(
        findings.purpose,
        Ok(FoundPurpose::Visit | FoundPurpose::Refresh(_))
    ) {
        return None;
    }
    let demand = findings.demand;
    let mut says = format!("enforce {}", demand.enforce.name());
    if demand.dead_cookie == DeadCookiePolicy::Refuse {
        says.push_str(", dead cookies refused");
    }
    if demand.is_observed {
        says.push_str(", only observed");
    }
    let of_route = route.filter(|route| route.demand.is_some()).and(route_line);
    let of_shop = || {
        let keys = ["enforce", "dead_cookie", "observe"];
        keys.iter().find_map(|key| sources.lines.key(key))
    };
    Some(Station::new("demand", says, of_route.or_else(of_shop)))
}

/// What becomes of it, in a sentence.
pub(super) fn verdict_in_words(of: &Rehearsed) -> String {
    let status = of.status.map(|status| status.as_u16());
    let verdict = of.verdict.name();
    let mut says = match (of.refusal, status) {
        (Some(refusal), Some(status)) => format!("{verdict} {status}, {}", claims::reason(refusal)),
        (Some(refusal), None) => format!("{verdict}, {}", claims::reason(refusal)),
        (None, Some(status)) => format!("{verdict} {status}"),
        (None, None) => verdict.to_owned(),
    };
    if let Some(place) = &of.place {
        let _ = write!(says, ", for the credential in {place}");
    }
    if let Some(would) = of.would {
        let _ = write!(
            says,
            "; only observed: it would be refused, {}",
            claims::reason(would)
        );
    }
    if of.verdict == RehearsedVerdict::Closed && of.refusal.is_none() {
        says.push_str(" without an answer: its client has not shown the certificate that the listener asks for, or it is no request");
    }
    if let Some(logout) = &of.logout {
        let order = match (logout.order, logout.is_forwarded) {
            (_, false) => "then answered by Doorward",
            (LogoutOrder::ShopFirst, true) => "once the shop has agreed",
            (LogoutOrder::AtOnce | LogoutOrder::TokensFirst, true) => "then forwarded",
        };
        let _ = write!(says, ": {} entries are stored, {order}", logout.revocations);
    }
    says
}

/// What to do about it; `None`: nothing is wrong.
pub(super) fn advice(of: &Rehearsed) -> Option<&'static str> {
    of.refusal.or(of.would).map(Refusal::advice)
}
