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

/// Reads what a route demands.
pub(super) fn read(route: &mut TomlTable<'_>) -> RouteDemand {
    RouteDemand {
        enforce: read_enforce(route),
        dead_cookie: route.choice("dead_cookie", DEAD_COOKIE),
        is_observed: read_observe(route, "route"),
    }
}

/// Reads whether all shops are only observed that do not say otherwise.
pub(crate) fn read_observe_of_process(root: &mut TomlTable<'_>) -> bool {
    read_observe(root, "process").unwrap_or_default()
}

/// Reads what a shop demands where no route says otherwise. `is_observed`: the shops are only observed that do not say otherwise.
pub(crate) fn read_of_shop(shop: &mut TomlTable<'_>, is_observed: bool) -> Demand {
    let said = RouteDemand {
        enforce: None,
        dead_cookie: shop.choice("dead_cookie", DEAD_COOKIE),
        is_observed: read_observe(shop, "shop"),
    };
    said.over(Demand {
        is_observed,
        ..Demand::default()
    })
}

fn read_enforce(route: &mut TomlTable<'_>) -> Option<Enforce> {
    let enforce = route.choice("enforce", ENFORCE)?;
    if enforce == Enforce::Off {
        route.report_at(
            "enforce",
            Fault::warning("a customer who logged out still has access here")
                .label("no credential is examined"),
        );
    }
    Some(enforce)
}

/// What protects nothing says so at every start.
fn read_observe(table: &mut TomlTable<'_>, what: &str) -> Option<bool> {
    let is_observed = table.boolean("observe")?;
    if is_observed {
        let fault = Fault::warning(format!("this {what} is only observed: it protects nothing"))
            .label("no request is refused for its credentials");
        let help =
            "once the log says of no innocent request that it would be refused, take `observe` out";
        table.report_at("observe", fault.help(help));
    }
    Some(is_observed)
}
