//! Which shops, routes and rules no test case has touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{RuleSources, call_in_words};
use crate::request::{FoundPurpose, Shop};
use crate::server::Rehearsed;

/// A part of the configuration that cases touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CoveredPart {
    Shop(usize),
    Route(usize, usize),
    Logout(usize, usize),
    Refresh(usize, usize),
}

/// What was touched.
#[derive(Debug, Default)]
pub(super) struct Coverage(BTreeSet<CoveredPart>);

/// A part of the configuration that no case has touched.
#[derive(Debug)]
pub(super) struct Untouched {
    pub(super) what: String,
    pub(super) at: Option<String>,
}

impl Coverage {
    /// A request was judged.
    pub(super) fn note(&mut self, of: &Rehearsed) {
        let Some(shop) = of.shop else {
            return;
        };
        self.0.insert(CoveredPart::Shop(shop));
        self.0
            .extend(of.route.map(|route| CoveredPart::Route(shop, route)));
        let purpose = of.findings.as_ref().map(|findings| findings.purpose);
        self.0.extend(match purpose {
            Some(Ok(FoundPurpose::Logout(rule))) => Some(CoveredPart::Logout(shop, rule)),
            Some(Ok(FoundPurpose::Refresh(rule))) => Some(CoveredPart::Refresh(shop, rule)),
            Some(
                Ok(
                    FoundPurpose::OwnLogout
                    | FoundPurpose::Preflight
                    | FoundPurpose::Script
                    | FoundPurpose::Visit,
                )
                | Err(_),
            )
            | None => None,
        });
    }

    /// How many parts were touched, of how many, and those that were not.
    pub(super) fn compare(
        &self,
        shops: &[Arc<Shop>],
        sources: &[RuleSources],
    ) -> (usize, usize, Vec<Untouched>) {
        let all: Vec<_> = shops
            .iter()
            .enumerate()
            .flat_map(|(at, shop)| parts(at, shop))
            .collect();
        let untouched: Vec<_> = all.iter().filter(|part| !self.0.contains(part)).collect();
        let described = untouched
            .iter()
            .filter_map(|part| describe(**part, shops, sources));
        (all.len() - untouched.len(), all.len(), described.collect())
    }
}

fn parts(at: usize, shop: &Shop) -> Vec<CoveredPart> {
    let routes = (0..shop.routes.routes().len()).map(|route| CoveredPart::Route(at, route));
    let logouts = (0..shop.logouts.len()).map(|rule| CoveredPart::Logout(at, rule));
    let refreshes = (0..shop.refreshes.len()).map(|rule| CoveredPart::Refresh(at, rule));
    let own = std::iter::once(CoveredPart::Shop(at));
    own.chain(routes).chain(logouts).chain(refreshes).collect()
}

fn describe(part: CoveredPart, shops: &[Arc<Shop>], sources: &[RuleSources]) -> Option<Untouched> {
    let at = match part {
        CoveredPart::Shop(at)
        | CoveredPart::Route(at, _)
        | CoveredPart::Logout(at, _)
        | CoveredPart::Refresh(at, _) => at,
    };
    let (shop, lines) = (shops.get(at)?, &sources.get(at)?.lines);
    let (what, line) = match part {
        CoveredPart::Shop(_) => (String::new(), Some(lines.table())),
        CoveredPart::Route(_, number) => {
            let route = shop.routes.routes().get(number)?;
            (
                format!(", route {}", route.name),
                lines.nth("route", number),
            )
        }
        CoveredPart::Logout(_, number) => {
            let call = call_in_words(&shop.logouts.get(number)?.call);
            (format!(", logout {call}"), lines.nth("logout", number))
        }
        CoveredPart::Refresh(_, number) => {
            let call = call_in_words(&shop.refreshes.get(number)?.call);
            (format!(", refresh {call}"), lines.nth("refresh", number))
        }
    };
    Some(Untouched {
        what: format!("shop {}{what}", shop.name),
        at: line.map(str::to_owned),
    })
}
