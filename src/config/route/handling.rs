//! How requests are sent, and how their answers are passed on. A shop says it for all of its requests, and a route for its own.

use super::switched::{Switched, refuse_true, switched};
use super::{compression, mirror, retries};
use crate::config::fault::Fault;
use crate::config::reading::{TomlTable, byte_size};
use crate::config::upstream::{NamedUpstreams, WAITS};
use crate::request::{Handling, RouteTarget, RouteTimeouts};

/// What a route can say of it.
pub(super) const KEYS: [&str; 5] = ["timeouts", "body_limit", "retries", "mirror", "compress"];

/// Reads what a shop says.
pub(super) fn read_of_shop(shop: &mut TomlTable<'_>, upstreams: &NamedUpstreams) -> Handling {
    read(shop, upstreams, &Handling::default())
}

/// Reads what a route says; what it leaves out, the shop says.
pub(super) fn read_of_route(
    route: &mut TomlTable<'_>,
    upstreams: &NamedUpstreams,
    of_shop: &Handling,
) -> Handling {
    Handling {
        timeouts: read_timeouts(route),
        ..read(route, upstreams, of_shop)
    }
}

fn read(table: &mut TomlTable<'_>, upstreams: &NamedUpstreams, of_shop: &Handling) -> Handling {
    Handling {
        timeouts: RouteTimeouts::default(),
        body_limit: read_body_limit(table, of_shop.body_limit),
        retries: retries::read(table, of_shop.retries.as_ref()),
        mirror: mirror::read(table, upstreams, of_shop.mirror.as_ref()),
        compression: compression::read(table, of_shop.compression.as_ref()),
    }
}

fn read_body_limit(table: &mut TomlTable<'_>, of_shop: Option<u64>) -> Option<u64> {
    match switched(table, "body_limit") {
        Switched::LeftOut => of_shop,
        Switched::Off => None,
        Switched::On => refuse_true(table, "body_limit", "a size such as \"10MiB\", or false"),
        Switched::Written => table.string_as("body_limit", |text| {
            let bytes = byte_size::parse(text)?;
            (bytes > 0)
                .then_some(bytes)
                .ok_or("a size such as \"10MiB\", or false for no limit")
        }),
    }
}

/// Reports what a route says of sending, if it sends nothing: it leads to a redirect or an answer.
pub(super) fn report_unsent(route: &mut TomlTable<'_>, target: Option<&RouteTarget>) {
    let (what, answer) = match target {
        Some(RouteTarget::Redirect(_)) => ("redirect", "a redirect"),
        Some(RouteTarget::Respond(_)) => ("respond", "an answer of Doorward itself"),
        Some(RouteTarget::Shop | RouteTarget::Upstream(_) | RouteTarget::Split(_)) | None => return,
    };
    let mut is_on = |key| !(route.has_boolean(key) && route.boolean(key) == Some(false));
    let on =
        ["retries", "mirror", "compress", "body_limit", "timeouts"].map(|key| (key, is_on(key)));
    for (key, _) in on.into_iter().filter(|(_, is_on)| *is_on) {
        let beside = format!("`{key}` beside `{what}`");
        let fault = match (key, what) {
            ("compress", "respond") => continue,
            ("compress", _) => Fault::error(beside).label("a redirect has no body"),
            ("retries" | "mirror", _) => {
                Fault::error(beside).label(format!("{answer} is sent to no server"))
            }
            _ => Fault::warning(format!("{beside} counts for logouts only"))
                .label(format!("{answer} is sent to no server")),
        };
        route.report_at(key, fault);
    }
}

fn read_timeouts(route: &mut TomlTable<'_>) -> RouteTimeouts {
    let Some(mut table) = route.table("timeouts") else {
        return RouteTimeouts::default();
    };
    let mut timeout = |key| table.duration_within(key, WAITS, "10ms to 24h");
    let timeouts = RouteTimeouts {
        connect: timeout("connect"),
        read: timeout("read"),
        write: timeout("write"),
    };
    table.finish();
    timeouts
}
