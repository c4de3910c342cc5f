//! What a shop and its routes demand of the credentials of a request: `enforce`, `dead_cookie` and `observe`.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{DeadCookiePolicy, Demand, Enforce, RouteDemand};

const ENFORCE: &[(&str, Enforce)] = &[
    ("off", Enforce::Off),
    ("revoked", Enforce::Revoked),
    ("valid", Enforce::Valid),
    ("required", Enforce::Required),
];

const DEAD_COOKIE: &[(&str, DeadCookiePolicy)] = &[
    ("remove", DeadCookiePolicy::Remove),
    ("refuse", DeadCookiePolicy::Refuse),
];

/// The keys of a route that demand something.
pub(super) const KEYS: [&str; 3] = ["enforce", "dead_cookie", "observe"];

/// Reads what a route demands. The second says what protects nothing: it counts only if a request can take the route.
pub(super) fn read(route: &mut TomlTable<'_>) -> (RouteDemand, Vec<Fault>) {
    let enforce = route.choice("enforce", ENFORCE);
    let off = route
        .spot_of("enforce")
        .filter(|_| enforce == Some(Enforce::Off));
    let off = off.map(|spot| unexamined().at(&spot));
    let (is_observed, observed) = read_observe(route, "route");
    let demand = RouteDemand {
        enforce,
        dead_cookie: route.choice("dead_cookie", DEAD_COOKIE),
        is_observed,
    };
    (demand, off.into_iter().chain(observed).collect())
}

/// Reads whether all shops are only observed that do not say otherwise.
pub(crate) fn read_observe_of_process(root: &mut TomlTable<'_>) -> bool {
    let (is_observed, observed) = read_observe(root, "process");
    if let Some(fault) = observed {
        root.report(fault);
    }
    is_observed.unwrap_or_default()
}

/// Reads what a shop demands where no route says otherwise. `is_observed`: the shops are only observed that do not say otherwise.
pub(crate) fn read_of_shop(shop: &mut TomlTable<'_>, is_observed: bool) -> Demand {
    let (shop_is_observed, observed) = read_observe(shop, "shop");
    if let Some(fault) = observed {
        shop.report(fault);
    }
    let said = RouteDemand {
        enforce: None,
        dead_cookie: shop.choice("dead_cookie", DEAD_COOKIE),
        is_observed: shop_is_observed,
    };
    said.over(Demand {
        is_observed,
        ..Demand::default()
    })
}

fn unexamined() -> Fault {
    Fault::warning("a customer who logged out still has access here")
        .label("no credential is examined")
}

/// What protects nothing says so at every start.
fn read_observe(table: &mut TomlTable<'_>, what: &str) -> (Option<bool>, Option<Fault>) {
    let is_observed = table.boolean("observe");
    let spot = table
        .spot_of("observe")
        .filter(|_| is_observed == Some(true));
    let fault = spot.map(|spot| {
        let fault = Fault::warning(format!("this {what} is only observed: it protects nothing"))
            .label("no request is refused for its credentials");
        let help =
            "once the log says of no innocent request that it would be refused, take `observe` out";
        fault.help(help).at(&spot)
    });
    (is_observed, fault)
}
